"""The sample that takes the most memory is found, where it is not the longest."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from bsadvise.model.commands import InspectTask, RunStep, TraceMemory, Verify
from bsadvise.model.measurements import MemoryTrace, StepRun, Verification
from bsadvise.model.task import TaskProfile
from hypothesis import given
from hypothesis import strategies as st

from advisor.worker.data.sample_sizes import largest_in_part, longest_of, sizes_of_parts
from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

INSPECT = InspectTask(time_limit_s=LIMIT_S)

MANY_BOXES = 4
LARGEST_PICTURE = 7

DETECTION = f"""
    import torch
    from torch import nn

    def build_model():
        return nn.Conv2d(1, 4, 3, padding=1)

    def build_dataset():
        def sample(index):
            side = 40 if index == {LARGEST_PICTURE} else 16
            boxes = 200 if index == {MANY_BOXES} else 2
            return torch.ones(1, side, side), {{"boxes": torch.zeros(boxes, 4)}}

        return [sample(index) for index in range(60)]

    def collate_fn(samples):
        return tuple(map(list, zip(*samples)))

    def loss_fn(model, batch):
        losses = []
        for picture, target in zip(*batch):
            found = model(picture[None]).flatten(2)[0].T
            far = (found[None] - target["boxes"][:, None]).abs() if PAIRS else found.abs()
            losses.append(far.mean())
        return torch.stack(losses).mean()
"""


def profile_of(bench: Bench, *, pairs: bool) -> TaskProfile:
    bench.write(DETECTION.replace("PAIRS", str(pairs)))
    return outcome_of(bench.worker(), INSPECT, TaskProfile)


def test_boxes_that_are_compared_with_the_picture_decide(bench: Bench) -> None:
    profile = profile_of(bench, pairs=True)
    assert profile.longest_sample == LARGEST_PICTURE
    assert profile.peak_sample == MANY_BOXES


def test_boxes_that_take_little_do_not(bench: Bench) -> None:
    assert profile_of(bench, pairs=False).peak_sample is None


def test_a_command_runs_the_sample_that_it_names(bench: Bench) -> None:
    profile_of(bench, pairs=True)
    most, usual = (_peaks(bench, sample) for sample in (MANY_BOXES, None))
    assert all(more > 1.5 * less for more, less in zip(most, usual, strict=True))
    assert max(most) == pytest.approx(min(most), rel=0.1)


def _peaks(bench: Bench, sample: int | None) -> tuple[int, int, int]:
    """Return the peaks of a trace, of a run and of a verification, bytes."""
    trace = TraceMemory(time_limit_s=LIMIT_S, micro_batch_size=4, sample=sample)
    run = RunStep(time_limit_s=LIMIT_S, micro_batch_size=4, sample=sample)
    verify = Verify(
        time_limit_s=LIMIT_S, micro_batch_size=4, accumulation_steps=1, learning_rate=1e-3,
        step_count=2, sample=sample,
    )  # fmt: skip
    return (
        outcome_of(bench.worker(), trace, MemoryTrace).peak_bytes,
        outcome_of(bench.worker(), run, StepRun).peak_bytes,
        outcome_of(bench.worker(), verify, Verification).peak_bytes,
    )


@pytest.mark.parametrize(
    ("sample", "sizes"),
    [
        (torch.ones(3, 2), {(): 6}),
        ((torch.ones(3), 7), {(0,): 3, (1,): 1}),
        ({"x": torch.ones(4), "y": {"z": "abc"}}, {("x",): 4, ("y", "z"): 3}),
        ([torch.ones(2), torch.ones(5)], {(0,): 2, (1,): 5}),
        ({"tokens": list(range(100))}, {("tokens",): 100}),
    ],
)
def test_a_sample_has_parts(sample: Any, sizes: dict[Any, int]) -> None:
    assert sizes_of_parts(sample) == sizes


_samples = st.lists(
    st.fixed_dictionaries({("a",): st.integers(1, 50), ("b",): st.integers(0, 9)}), min_size=1
)


@given(sizes=_samples)
def test_each_candidate_has_more_in_a_part_and_fewer_in_all(sizes: list[dict[Any, int]]) -> None:
    samples = dict(enumerate(sizes))
    longest = samples[longest_of(samples)]
    candidates = largest_in_part(samples)
    assert len(set(candidates)) == len(candidates)
    for index, part in itertools.product(candidates, [("a",), ("b",)]):
        assert sum(samples[index].values()) <= sum(longest.values())
        assert samples[index][part] <= max(one[part] for one in sizes)
    for part in (("a",), ("b",)):
        largest = max(one[part] for one in sizes)
        found = any(samples[index][part] == largest for index in candidates)
        assert found or longest[part] == largest


def test_samples_of_one_shape_have_no_candidates() -> None:
    assert largest_in_part({index: {("x",): 4, ("y",): 1} for index in range(5)}) == ()
