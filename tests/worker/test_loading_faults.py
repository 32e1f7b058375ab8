"""Samples that a collate function drops, and streams that several processes repeat, are told."""

from __future__ import annotations

import pytest
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import InspectTask
from bsadvise.model.task import TaskProfile

from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

INSPECT = InspectTask(time_limit_s=LIMIT_S)
BASE = """\
import itertools
import torch
from torch import nn
from torch.utils.data import IterableDataset, TensorDataset, get_worker_info
def build_model():
    return nn.Linear(4, 3)
def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.arange(96) % 3)
"""
DROPS = """\
def collate_fn(samples):
    kept = [s for s in samples if s[1] != 2]
    return torch.utils.data.default_collate(kept) if kept else None
"""
TIME_FIRST = """\
def build_dataset():
    return TensorDataset(torch.randn(96, 5, 4), torch.randn(96, 5, 3))
def collate_fn(samples):
    x, y = map(torch.stack, zip(*samples))
    return x.transpose(0, 1), y.transpose(0, 1)
"""
STREAM = """\
NUM_WORKERS = {processes}
class Stream(IterableDataset):
    def __iter__(self):
        g = torch.Generator().manual_seed(7)
        samples = ((torch.randn(4, generator=g), n % 3) for n in range(600))
        info = get_worker_info() if {asks} else None
        start, step = (info.id, info.num_workers) if info else (0, 1)
        return itertools.islice(samples, start, None, step)
def build_dataset():
    return Stream()
"""


def caveats(bench: Bench, source: str) -> dict[str, Caveat]:
    bench.write(BASE + source)
    profile = outcome_of(bench.worker(), INSPECT, TaskProfile)
    return {caveat.code: caveat for caveat in profile.caveats}


def test_a_collate_function_that_drops_samples_is_named(bench: Bench) -> None:
    caveat = caveats(bench, DROPS)[CaveatCode.SAMPLES_DROPPED]
    assert caveat.text.startswith("model.py:9: collate_fn leaves samples out, ")
    assert "Subset(dataset, kept)" in caveat.text


@pytest.mark.parametrize("source", ["", TIME_FIRST])
def test_one_that_keeps_all_is_not(bench: Bench, source: str) -> None:
    assert CaveatCode.SAMPLES_DROPPED not in caveats(bench, source)


def test_a_stream_that_processes_repeat_is_named(bench: Bench) -> None:
    found = caveats(bench, STREAM.format(processes=2, asks=False))
    text = found[CaveatCode.STREAM_REPEATED].text
    assert text.startswith("model.py:11: the stream does not ask get_worker_info()")
    assert "itertools.islice(samples, info.id, None, info.num_workers)" in text


@pytest.mark.parametrize(("processes", "asks"), [(2, True), (1, False), (0, False)])
def test_other_streams_are_not(bench: Bench, processes: int, asks: bool) -> None:
    source = STREAM.format(processes=processes, asks=asks)
    assert CaveatCode.STREAM_REPEATED not in caveats(bench, source)
