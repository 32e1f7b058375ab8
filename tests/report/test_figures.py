"""What the figures say: knees, limits and standings by formula, a stated length from its log."""

from __future__ import annotations

from typing import Any

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.commands import TimeLoader, TimeSteps, Train
from bsadvise.model.horizon import (
    FinalLoss,
    LearningRateSchedule,
    ScheduleShape,
    StepSchedule,
    TrainingHorizon,
)
from bsadvise.model.measurements import LoaderTimes, Log, Measurement, StepTimes, TrainRun
from bsadvise.report.figures.horizon import horizon_figure
from bsadvise.report.figures.throughput import (
    Timed,
    knee_of,
    limits_of,
    loaded_per_s,
    timed_steps,
)
from bsadvise.report.reasons import reasons_for
from bsadvise.report.trials import Standing, shown_trials
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import a_measurement, an_advice, an_inspection
from tests.support.findings import findings_of, recorded_findings


def timed(fixed_s: float, sample_s: float, count: int = 10) -> tuple[Timed, ...]:
    """Return steps that take a fixed time and one for each sample."""
    return tuple(
        Timed(micro_batch_size=size, step_times_s=(fixed_s + sample_s * size,) * 3)
        for size in (2**power for power in range(count))
    )


@given(fixed_s=st.floats(1e-5, 1.0), sample_s=st.floats(1e-7, 1e-2))
def test_the_knee_is_the_first_of_nearly_the_most(fixed_s: float, sample_s: float) -> None:
    steps = timed(fixed_s, sample_s)
    knee = knee_of(steps)
    most = max(one.samples_per_s for one in steps)
    assert knee.samples_per_s >= 0.9 * most
    assert all(
        one.samples_per_s < 0.9 * most
        for one in steps
        if one.micro_batch_size < knee.micro_batch_size
    )


@given(fixed_s=st.floats(1e-5, 1.0), sample_s=st.floats(1e-7, 1e-2))
def test_launch_limits_small_sizes_and_computing_large_ones(
    fixed_s: float, sample_s: float
) -> None:
    limits = list(limits_of(timed(fixed_s, sample_s), None).values())
    assert set(limits) <= {"launch", "compute"}
    assert limits == sorted(limits, reverse=True)  # Once it computes, it goes on to.


def test_a_slow_loader_limits_every_size() -> None:
    assert set(limits_of(timed(1e-3, 1e-3), 1.0).values()) == {"loading"}
    assert "loading" not in limits_of(timed(1e-3, 1e-3), 1e9).values()


def test_one_size_alone_is_limited_by_computing() -> None:
    assert limits_of(timed(1e-3, 1e-3, count=1), None) == {1: "compute"}


def test_times_of_a_size_that_was_timed_twice_are_pooled() -> None:
    def entry(size: int, *times_s: float) -> Measurement:
        command = TimeSteps(time_limit_s=9.0, micro_batch_size=size, measure_s=1.0)
        return a_measurement(command, StepTimes(step_times_s=times_s, optimizer_times_s=()))

    found = timed_steps((entry(8, 1.0), entry(2, 1.0), entry(8, 3.0)))
    assert [(one.micro_batch_size, one.step_times_s) for one in found] == [
        (2, (1.0,)),
        (8, (1.0, 3.0)),
    ]


def test_the_loader_counts_as_its_user_has_it() -> None:
    def entry(num_workers: int | None, time_s: float) -> Measurement:
        command = TimeLoader(time_limit_s=9.0, batch_size=8, measure_s=1.0, num_workers=num_workers)
        return a_measurement(command, LoaderTimes(batch_size=8, batch_times_s=(time_s,)))

    assert loaded_per_s((entry(4, 0.1), entry(None, 2.0))) == 4.0
    assert loaded_per_s((entry(4, 0.1),)) is None


@pytest.mark.parametrize("name", ["target_loss", "benchmark_digits_cnn", "nan_loss", "no_trials"])
def test_one_trial_at_most_is_advised_and_the_recipe_is_the_first(name: str) -> None:
    findings = recorded_findings(name)
    trials = shown_trials(findings)
    advised = [one for one in trials if one.standing is Standing.ADVISED]
    assert len(advised) <= 1
    assert [one.is_reference for one in trials] == [one.number == 0 for one in trials]
    advice = findings.recommendation.advice
    assert advice is not None
    for one in advised:
        assert one.effective_batch_size == advice.effective_batch_size
        assert one.learning_rate == pytest.approx(advice.learning_rate)
    for one in trials:
        if one.standing is Standing.FAILED:
            assert one.explained is None or one.explained.rank is None


@pytest.mark.parametrize("name", ["target_loss", "no_trials", "gpt2_on_a100", "streamed"])
def test_the_reasons_have_numbers(name: str) -> None:
    reasons = reasons_for(recorded_findings(name))
    assert 2 <= len(reasons) <= 3
    assert all(sentence.endswith(".") for sentence in reasons)
    assert sum(any(char.isdigit() for char in sentence) for sentence in reasons) >= 2


def _complete(steps: int, loss: float) -> Measurement:
    schedule = StepSchedule(shape=ScheduleShape.LINEAR, total_steps=steps, decay_steps=steps)
    command = Train(
        time_limit_s=9.0,
        micro_batch_size=8,
        accumulation_steps=2,
        learning_rate=0.1,
        step_count=steps,
        evaluation_batch_size=8,
        trial=1,
        schedule=schedule,
    )
    run = TrainRun(step_count=steps, sample_count=16 * steps, train_losses=(), held_out_loss=loss)
    return a_measurement(command, run)


def _advice_for(total_steps: int, **changes: Any) -> Advice:
    horizon = TrainingHorizon(
        total_steps=total_steps,
        total_samples=16 * total_steps,
        schedule=LearningRateSchedule(shape=ScheduleShape.LINEAR),
        warmup_steps=0,
        decay_steps=total_steps,
        carried_factor=20.0,
        source="request",
    )
    expected = FinalLoss(value=0.5, low=0.4, high=0.6)
    return an_advice(horizon=horizon, expected_final_loss=expected, **changes)


def test_a_stated_length_shows_what_was_trained_and_how_far_it_was_carried() -> None:
    log: Log = (an_inspection(), _complete(50, 1.0), _complete(100, 0.8))
    figure = horizon_figure(findings_of(log, _advice_for(2_000)))
    assert figure is not None
    assert "carried 20 times as far" in figure.description
    assert "0.5 (80 %: 0.4 to 0.6)" in figure.description
    assert [row[2:4] for row in figure.table.rows] == [("800", "1"), ("1,600", "0.8")]
    assert figure.spec is not None
    assert horizon_figure(findings_of(log, an_advice())) is None
