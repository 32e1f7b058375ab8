"""Figures of one answer agree, in all that was recorded, whole or stopped early.

An interval lies around its estimate, and what is said of an alternative is what would be said of it
were it the advice.
"""

from __future__ import annotations

import functools
from dataclasses import fields

import pytest
from bsadvise.model.advice import Advice
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.planning.answer.advising import advise
from advisor.planning.answer.choice import Choice, Chooser
from tests.replay.recordings import Recording, path_of, read_recording, recorded_names
from tests.replay.replaying import the_planner

PLANNER = the_planner()

_SUFFIX = "_interval"

# Where they are named otherwise than the interval, less its suffix.
_ESTIMATES = {"expected_speedup": "expected_speedup_over_reference"}

_SHARES = (0.6, 1.0)
"""Parts of a log after which it is answered."""


@functools.cache
def recording_of(name: str) -> Recording:
    return read_recording(path_of(name))


def answered(name: str, share: float = 1.0) -> tuple[Chooser, Choice, Advice] | None:
    """Return the best answer to a part of a recorded log; None where there is none."""
    recording = recording_of(name)
    log = recording.log[: round(share * len(recording.log))]
    view = PLANNER.read(recording.request, (recording.device,), log)
    best = PLANNER.best_so_far(view)
    if best is None:
        return None
    chooser = view.model(Chooser)
    assert chooser.choice is not None
    return chooser, chooser.choice, best


def alternatives_of(chooser: Chooser, choice: Choice) -> dict[str, Choice | None]:
    lean = {"leanest memory": chooser.leanest(choice)}
    if chooser.view.step_times is None:
        return {**lean}
    return {
        **lean,
        "fastest steps": chooser.highest_throughput(),
        "fewest samples": chooser.fewest_samples(),
    }


@settings(deadline=None, max_examples=20)
@given(name=st.sampled_from(recorded_names()), share=st.floats(0.1, 1))
def test_an_interval_lies_around_its_estimate(name: str, share: float) -> None:
    _check_intervals(name, share)


@pytest.mark.parametrize("name", recorded_names())
def test_an_interval_of_a_whole_log_lies_around_its_estimate(name: str) -> None:
    _check_intervals(name, 1.0)


def _check_intervals(name: str, share: float) -> None:
    found = answered(name, share)
    if found is None:
        return
    _, _, advice = found
    for field in fields(advice):
        interval = getattr(advice, field.name) if field.name.endswith(_SUFFIX) else None
        if interval is not None:
            what = field.name.removesuffix(_SUFFIX)
            estimate = getattr(advice, _ESTIMATES.get(what, what))
            assert estimate is not None, what
            assert interval.low <= estimate <= interval.high, what


@pytest.mark.parametrize("name", recorded_names())
def test_an_alternative_has_the_figures_that_it_would_have_as_the_advice(name: str) -> None:
    for share in _SHARES:
        found = answered(name, share)
        if found is None:
            continue
        chooser, choice, advice = found
        choices = alternatives_of(chooser, choice)
        for given_so in advice.alternatives:
            other = choices[given_so.title]
            assert other is not None
            advised = advise(chooser, other)
            for figure in (
                "micro_batch_size",
                "accumulation_steps",
                "effective_batch_size",
                "learning_rate",
                "predicted_peak_bytes",
                "samples_per_s",
            ):
                assert getattr(given_so, figure) == pytest.approx(getattr(advised, figure)), figure


@pytest.mark.parametrize("name", recorded_names())
def test_of_the_same_training_the_times_are_as_those_of_a_step(name: str) -> None:
    found = answered(name)
    if found is None:
        return
    chooser, choice, advice = found
    lean = next((a for a in advice.alternatives if a.title == "leanest memory"), None)
    if lean is None or lean.relative_time is None or lean.relative_samples is None:
        return
    advised = advise(chooser, chooser.leanest(choice))
    if advice.time_per_epoch_s and advised.time_per_epoch_s:
        assert advice.steps_per_epoch
        assert advised.steps_per_epoch
        step_s = advice.time_per_epoch_s / advice.steps_per_epoch
        lean_step_s = advised.time_per_epoch_s / advised.steps_per_epoch
        assert lean.relative_time == pytest.approx(lean_step_s / step_s, rel=1e-6)
