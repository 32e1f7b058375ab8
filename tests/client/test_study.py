"""A job's trials as a study, from its log alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from bsadvise.exports.study import Study, TrialState, make_study, measured_at_s
from bsadvise.model.advice import Search
from bsadvise.model.commands import Evaluate, InspectTask, Train, TrialOrigin
from bsadvise.model.errors import ExportFailed
from bsadvise.model.measurements import (
    Evaluation,
    Failed,
    Measurement,
    Outcome,
    OutOfMemory,
    TimedOut,
    TrainRun,
)
from bsadvise.model.recommendation import CommandStarted, Event, Measured, State
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import (
    NOW_S,
    a_fault,
    a_measurement,
    a_recommendation,
    an_advice,
    an_inspection,
)

WALL_S = 2.0


def a_rung(
    trial: int | None = 1,
    rung: int = 0,
    *,
    outcome: Outcome | None = None,
    loss: float | None = 0.5,
    earlier: tuple[float, ...] = (),
    **changes: Any,
) -> Measurement:
    """Return a rung of ten steps, the held-out loss measured after 2, 4, … of them as well."""
    defaults: dict[str, Any] = {
        "time_limit_s": 60.0,
        "micro_batch_size": 16,
        "accumulation_steps": 2,
        "learning_rate": 0.1,
        "step_count": 10,
        "evaluation_batch_size": 64,
        "evaluation_steps": (2, 4, 6, 8),
        "trial": trial,
        "rung": rung,
        "origin": None if trial is None else TrialOrigin.SAMPLER,
    }
    run = TrainRun(
        step_count=10,
        sample_count=320,
        train_losses=(),
        earlier_losses=earlier,
        held_out_loss=loss,
        diverged=loss is None,
    )
    return a_measurement(Train(**defaults | changes), outcome or run, wall_s=WALL_S)


def study_of(*log: Measurement, **changes: Any) -> Study:
    times_s = [NOW_S + 10 * (index + 1) for index in range(len(log))]
    return make_study(a_recommendation(**changes), log, times_s, "1.2.3")


def test_rungs_of_a_trial_are_one_curve() -> None:
    study = study_of(
        an_inspection(),
        a_rung(None, earlier=(3.0, 2.0, 1.5, 1.2), loss=1.0),
        a_rung(0, 1, earlier=(0.9,), loss=0.8),
    )

    (trial,) = study.trials
    assert trial.number == 0
    assert trial.attributes["origin"] == "reference"
    assert trial.losses == {2: 3.0, 4: 2.0, 6: 1.5, 8: 1.2, 10: 1.0, 12: 0.9, 20: 0.8}
    assert trial.final_loss == 0.8
    assert trial.effective_batch_size == 32
    assert (trial.attributes["rung_count"], trial.attributes["step_count"]) == (2, 20)
    assert (trial.started_at_s, trial.ended_at_s) == (NOW_S + 20 - WALL_S, NOW_S + 30)


def test_what_was_stopped_earlier_than_others_is_pruned() -> None:
    study = study_of(a_rung(None), a_rung(1), a_rung(2), a_rung(1, 1))

    assert [trial.state for trial in study.trials] == [
        TrialState.PRUNED, TrialState.COMPLETE, TrialState.PRUNED,
    ]  # fmt: skip
    assert study.trials[2].final_loss == 0.5


def test_the_recommended_trial_is_complete_however_short() -> None:
    advice = an_advice(effective_batch_size=32, learning_rate=0.2)
    study = study_of(
        a_rung(None), a_rung(1, learning_rate=0.2), a_rung(0, 1), advice=advice,
        state=State.SUCCEEDED,
    )  # fmt: skip

    assert [trial.attributes["is_recommended"] for trial in study.trials] == [False, True]
    assert study.trials[1].state is TrialState.COMPLETE
    assert study.attributes["answer"] == advice.to_dict()
    assert study.attributes["state"] == "succeeded"
    assert study.attributes["bsadvise_version"] == "1.2.3"


def test_a_trial_that_reached_the_target_is_complete() -> None:
    reached = a_rung(1, earlier=(0.5, 0.3), loss=0.2, target_loss=0.35)
    near = a_rung(2, earlier=(0.5, 0.4), loss=0.2, target_loss=0.35)
    study = study_of(a_rung(None), a_rung(0, 1), reached, near)

    assert [trial.state for trial in study.trials[1:]] == [TrialState.COMPLETE, TrialState.PRUNED]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (OutOfMemory(message="tried to allocate"), "out of device memory: tried to allocate"),
        (OutOfMemory(message="killed", is_host=True), "out of host memory: killed"),
        (Failed(fault=a_fault()), "model.py:3: in build_model: ValueError: no"),
        (TimedOut(limit_s=60.0), "did not end within 60 s"),
        (None, "the loss was not finite"),
    ],
)
def test_a_trial_whose_last_rung_has_no_loss_failed(outcome: Outcome | None, words: str) -> None:
    study = study_of(a_rung(None), a_rung(1), a_rung(1, 1, outcome=outcome, loss=None))

    trial = study.trials[1]
    assert trial.state is TrialState.FAIL
    assert trial.final_loss is None
    assert trial.losses == {10: 0.5}
    assert trial.attributes["error"] == words
    assert trial.ran_out_of_memory == isinstance(outcome, OutOfMemory)


def test_seed_repeats_are_told_of_the_trial_that_they_repeat() -> None:
    study = study_of(
        a_rung(None), a_rung(1), a_rung(1, loss=0.6, replicate=1),
        a_rung(1, loss=None, replicate=2),
    )  # fmt: skip

    assert study.trials[1].attributes["seed_repeat_count"] == 2
    assert study.trials[1].attributes["seed_repeat_losses"] == [0.6, None]
    assert study.trials[1].state is TrialState.COMPLETE
    assert study.trials[1].ended_at_s == NOW_S + 20


def test_the_ranges_hold_what_was_tried() -> None:
    study = study_of(a_rung(None), a_rung(1, micro_batch_size=64, learning_rate=0.4))

    assert study.batch_size_range == (32, 128)
    assert study.learning_rate_range == (0.1, 0.4)


def test_the_untrained_loss_is_an_attribute() -> None:
    evaluate = Evaluate(time_limit_s=60.0, evaluation_batch_size=64)
    study = study_of(a_measurement(evaluate, Evaluation(held_out_loss=2.3)), a_rung(None))

    assert study.attributes["untrained_held_out_loss"] == 2.3


def test_a_time_that_is_not_known_is_that_of_the_last_change() -> None:
    study = make_study(a_recommendation(), [a_rung(None)], [], "1.2.3")

    assert study.trials[0].ended_at_s == NOW_S


def test_a_job_without_trials_is_refused() -> None:
    with pytest.raises(ExportFailed, match="has no trials; it is queued"):
        study_of(an_inspection())
    with pytest.raises(ExportFailed, match="was remembered"):
        study_of(state=State.SUCCEEDED, advice=an_advice(search=Search(cache_hit=True)))


def test_no_event_is_read_after_the_last_measurement() -> None:
    def events() -> Iterator[Event]:
        yield Event(
            sequence=1, at_s=1.0, happening=CommandStarted(command=InspectTask(time_limit_s=1.0))
        )
        yield Event(sequence=2, at_s=2.0, happening=Measured(measurement=an_inspection()))
        raise AssertionError("those of a running job do not end")

    assert measured_at_s(events(), 1) == (2.0,)
    assert measured_at_s(events(), 0) == ()
    assert measured_at_s([], 3) == ()


LOSSES = st.none() | st.floats(1e-6, 1e6) | st.just(math.inf)
OUTCOMES = st.none() | st.sampled_from(
    [OutOfMemory(message="no"), TimedOut(limit_s=1.0), Failed(fault=a_fault())]
)
RUNGS = st.builds(
    a_rung,
    st.none() | st.integers(0, 4),
    outcome=OUTCOMES,
    loss=LOSSES,
    earlier=st.lists(st.floats(1e-6, 1e6), max_size=4).map(tuple),
    micro_batch_size=st.integers(1, 1 << 20),
    learning_rate=st.floats(1e-8, 1e3),
    target_loss=st.none() | st.floats(1e-3, 10),
    replicate=st.sampled_from([0, 0, 0, 1]),
)


@given(log=st.lists(RUNGS, max_size=12), known=st.integers(0, 12))
def test_every_log_makes_a_study_that_holds_together(log: list[Measurement], known: int) -> None:
    begun = {
        entry.command.trial or 0
        for entry in log
        if isinstance(entry.command, Train) and not entry.command.replicate
    }
    times_s = [NOW_S + index for index in range(min(known, len(log)))]
    if not begun:
        with pytest.raises(ExportFailed):
            make_study(a_recommendation(), log, times_s, "1.2.3")
        return

    study = make_study(a_recommendation(), log, times_s, "1.2.3")

    assert [trial.number for trial in study.trials] == sorted(begun)
    json.dumps([study.attributes, *(trial.attributes for trial in study.trials)], allow_nan=False)
    smallest, largest = study.batch_size_range
    for trial in study.trials:
        assert smallest <= trial.effective_batch_size <= largest
        assert all(map(math.isfinite, trial.losses.values()))
        assert (trial.final_loss is None) == (trial.state is TrialState.FAIL)
        assert ("error" not in trial.attributes) == (trial.state is not TrialState.FAIL)
        assert not trial.ran_out_of_memory or trial.state is TrialState.FAIL
