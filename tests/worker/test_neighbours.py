"""A random held-out part of windows and groups repeats the training data; of others it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import InspectTask
from bsadvise.model.task import TaskProfile
from torch import Tensor
from torch.utils.data import TensorDataset

from advisor.worker.data.indexed import IndexedData
from advisor.worker.data.loader import Loading
from advisor.worker.data.neighbours import repeats_training
from advisor.worker.data.order import split, thin_out
from advisor.worker.user.hooks import Hooks
from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

SIZE = 1200
Draw = Callable[[torch.Generator], Tensor]


def iid(dice: torch.Generator) -> Tensor:
    return torch.randn(SIZE, 16, generator=dice)


def sorted_by_class(dice: torch.Generator, classes: int = 6) -> Tensor:
    centres = 3 * torch.randn(classes, 16, generator=dice)
    return centres.repeat_interleave(SIZE // classes, 0) + iid(dice)


def heavy_tailed(dice: torch.Generator) -> Tensor:
    return iid(dice) / iid(dice)


def one_hot(dice: torch.Generator) -> Tensor:
    return torch.eye(16)[torch.randint(16, (SIZE,), generator=dice)]


def letters_apart(dice: torch.Generator) -> Tensor:
    return torch.randint(4, (SIZE, 32), generator=dice)


def on_a_line(_dice: torch.Generator) -> Tensor:
    return torch.linspace(-1, 1, SIZE)[:, None]


def windows(dice: torch.Generator) -> Tensor:
    return torch.randn(SIZE + 47, generator=dice).unfold(0, 48, 1)


def scaled_windows(dice: torch.Generator) -> Tensor:
    found = torch.randn(SIZE + 47, generator=dice).cumsum(0).unfold(0, 48, 1)
    return (found - found.mean(1, keepdim=True)) / found.std(1, keepdim=True)


def windows_of_letters(dice: torch.Generator) -> Tensor:
    return torch.randint(4, (4 * (SIZE + 15),), generator=dice).unfold(0, 64, 4)[:SIZE]


def groups(dice: torch.Generator) -> Tensor:
    of_group = torch.randn(SIZE // 5, 16, generator=dice).repeat_interleave(5, 0)
    return of_group + 0.2 * iid(dice)


def some(dice: torch.Generator) -> Tensor:
    return iid(dice)[:300]


def warns(samples: Tensor, *, is_apart: bool = False) -> bool:
    data = TensorDataset(samples)
    hooks = Hooks(Path(), "model.py", lambda _: None)
    loading = Loading(hooks=hooks, collate_fn=None, num_workers=0, seed=3)
    return repeats_training(IndexedData(data, data if is_apart else None, loading).neighbourhoods())


@pytest.mark.parametrize("draw", [windows, scaled_windows, windows_of_letters, groups])
def test_windows_and_groups_are_found(draw: Draw) -> None:
    for seed in range(5):
        samples = draw(torch.Generator().manual_seed(seed))
        assert warns(samples)
        assert not warns(samples, is_apart=True)
        order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(seed))
        assert not warns(samples[order])


@pytest.mark.parametrize(
    "draw", [iid, sorted_by_class, heavy_tailed, one_hot, letters_apart, on_a_line, some]
)
def test_samples_that_stand_alone_are_not(draw: Draw) -> None:
    assert not any(warns(draw(torch.Generator().manual_seed(seed))) for seed in range(10))


WINDOWS = """
    import torch
    from torch import nn

    class Windows(torch.utils.data.Dataset):
        series = torch.randn(900, generator=torch.Generator().manual_seed(1))

        def __len__(self):
            return 800

        def __getitem__(self, start):
            {unreadable}
            window = self.series[start:start + 25].numpy()
            return window[:24], window[24:]

    def build_model():
        return nn.Linear(24, 1)

    def build_dataset():
        return Windows()
"""


HELD_OUT = set(split(800)[1]) - set(thin_out(800, 64))  # The latter are read in any case.


@pytest.mark.parametrize("unreadable", ["", f"assert start not in {HELD_OUT}"])
def test_an_inspection_tells_of_windows_and_of_no_fault(bench: Bench, unreadable: str) -> None:
    bench.write(WINDOWS.format(unreadable=unreadable))
    profile = outcome_of(bench.worker(), InspectTask(time_limit_s=LIMIT_S), TaskProfile)
    told = [c for c in profile.caveats if c.code == CaveatCode.HELD_OUT_NEAR_TRAINING]
    assert len(told) == (not unreadable)
    assert all("build_eval_dataset" in caveat.text for caveat in told)


def test_an_inspection_tells_nothing_of_a_set_given_apart(bench: Bench) -> None:
    apart = (
        WINDOWS.format(unreadable="")
        + """
    def build_eval_dataset():
        return Windows()
"""
    )
    bench.write(apart)
    profile = outcome_of(bench.worker(), InspectTask(time_limit_s=LIMIT_S), TaskProfile)
    assert CaveatCode.HELD_OUT_NEAR_TRAINING not in {caveat.code for caveat in profile.caveats}
