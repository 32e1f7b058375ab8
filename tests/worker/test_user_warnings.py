"""Warnings that the user's code causes are passed on, once each, bounded in number and length."""

from __future__ import annotations

import pytest
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import InspectTask
from bsadvise.model.task import TaskProfile

from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

pytestmark = pytest.mark.filterwarnings("default")  # As in a worker.

INSPECT = InspectTask(time_limit_s=LIMIT_S)
BASE = """\
import warnings
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset
def build_model():
    return nn.Linear(4, 1)
def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randn(96))
"""


def warned(bench: Bench, source: str) -> list[Caveat]:
    bench.write(BASE + source)
    profile = outcome_of(bench.worker(), INSPECT, TaskProfile)
    return [caveat for caveat in profile.caveats if caveat.code == CaveatCode.USER_WARNING]


def test_a_target_that_is_broadcast_is_told_once_with_its_line(bench: Bench) -> None:
    source = "def loss_fn(model, batch):\n    return F.mse_loss(model(batch[0]), batch[1])\n"
    (caveat,) = warned(bench, source)
    assert caveat.text.startswith("model.py:11: UserWarning: Using a target size")
    assert "broadcasting" in caveat.text


def test_what_warns_of_nothing_has_no_caveat(bench: Bench) -> None:
    assert warned(bench, "") == []


def test_developers_warnings_are_left_out(bench: Bench) -> None:
    assert warned(bench, "warnings.warn('old', DeprecationWarning)\n") == []


def test_many_long_warnings_are_cut_and_counted(bench: Bench) -> None:
    source = "for number in range(40):\n    warnings.warn(number * 'y' + ' ' + 'x' * 9000)\n"
    caveats = warned(bench, source)
    assert len(caveats) == 6
    assert caveats[-1].text == "The model file causes 35 more warnings."
    assert max(len(caveat.text) for caveat in caveats) < 500
