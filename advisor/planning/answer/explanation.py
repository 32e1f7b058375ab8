"""What an answer rests on, as one value that a report can draw: curves, fits, ranks, reasons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bsadvise.model.advice import Interval
from bsadvise.model.commands import Command, RecallAnswers, Stage, TrialOrigin, stage_of
from bsadvise.model.measurements import Prior
from bsadvise.model.values import Unknown

from advisor.estimators.learning_curve import LearningCurve
from advisor.estimators.scaling_law import Array
from advisor.planning.evidence.inspection import next_inspection
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reasons import reason_of
from advisor.planning.horizon.carrying import Carrier
from advisor.planning.horizon.rungs import CompleteRungs
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.trials.acquisition import Acquisition
from advisor.planning.trials.ranking import Ranking
from advisor.planning.trials.trial_search import TrialSearch
from advisor.planning.trials.trials import Trial

_LEVEL = 0.8
"""Probability of the intervals of what was fitted: that of all intervals of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStep:
    """One measurement, and why it was made.

    Attributes:
        command: What was measured.
        stage: The stage that needed it.
        reason: Why, in a sentence.
        wall_s: Seconds that it took.
    """

    command: Command | RecallAnswers
    stage: Stage
    reason: str
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryExplanation:
    """The memory of a step by micro-batch size.

    Attributes:
        peak_bytes: Traced peak by size, without what the device's libraries take.
        budget_bytes: What a traced step may take.
        correction: Measured over traced memory, at least 1.
        max_micro_batch_size: The largest size that fits; 0 when none does.
    """

    peak_bytes: dict[int, int]
    budget_bytes: int
    correction: float
    max_micro_batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedTrial:
    """One setting as it was trained, and how it compares.

    Attributes:
        number: 0 for the reference recipe.
        origin: Why it was run.
        effective_batch_size: Samples a step.
        learning_rate: Of every parameter group.
        held_out: Held-out loss against modelled seconds.
        training: Training loss against modelled seconds; None where it was not recorded.
        time_to_target_s: Modelled seconds to the target loss, the geometric mean over seeds; None
            if it was not reached, or none was asked for.
        rank: 1 for the best; None for a trial that cannot be recommended.
        behind_doublings: Doublings of training time by which it is behind the best, at least 0;
            None for a trial that cannot be recommended.
        is_tied: Whether the best is not clearly ahead of it; true of the best.
    """

    number: int
    origin: TrialOrigin
    effective_batch_size: int
    learning_rate: float
    held_out: LearningCurve
    training: LearningCurve | None
    time_to_target_s: float | None
    rank: int | None
    behind_doublings: float | None
    is_tied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A parameter that was fitted: its median and its 80 % interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingFit:
    """The scaling model of batch size and learning rate, as the trials leave it.

    Attributes:
        largest_rate: The learning rate that curvature allows.
        critical_batch_size: The batch at which gradient noise costs as much as curvature, samples.
        noise_scale: The batch at which half of an adaptive optimizer's step is noise, samples; 0
            for others.
        suggested_batch_size: Of the setting that is expected to be least behind the best, samples.
        suggested_rate: Its learning rate.
        expected_regret: By how much the logarithm of its time to the target is expected to be
            above the best setting's.
    """

    largest_rate: Fitted
    critical_batch_size: Fitted
    noise_scale: Fitted
    suggested_batch_size: int
    suggested_rate: float
    expected_regret: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedTraining:
    """A complete training of a stated length's search.

    Attributes:
        effective_batch_size: Samples a step.
        learning_rate: Peak rate.
        samples: Seen, repeats counted.
        time_s: Modelled seconds of its steps.
        loss: Held-out loss at its end; infinite if it diverged.
        is_compared: Whether it is of the length that settings compare by, and no shorter.
    """

    effective_batch_size: int
    learning_rate: float
    samples: float
    time_s: float
    loss: float
    is_compared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonExplanation:
    """How a setting was carried to the stated length.

    Attributes:
        trainings: The complete trainings, oldest first.
        carried_factor: Samples of the stated training over those of the best, at least 1.
        batch_factor: The advised batch over that of the best.
        rate_factor: The advised peak rate over that of the best.
        batch_reason: Why the batch was carried to a larger one, or was not.
    """

    trainings: tuple[ExplainedTraining, ...]
    carried_factor: float
    batch_factor: float
    rate_factor: float
    batch_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What an answer rests on.

    Attributes:
        tuning_digest: Of the tuned numbers that it was made with.
        steps: What was measured, oldest first.
        memory: None before any step was traced.
        step_times_s: Seconds of a step by micro-batch size; empty before any was timed.
        trials: The reference first; empty before it was trained.
        scaling: None before there was a trial that trained well.
        prior: What earlier answers about the task had found; None where they were not asked for.
        horizon: How a setting was carried to the stated length; None where none was.
    """

    tuning_digest: str
    steps: tuple[ExplainedStep, ...]
    memory: MemoryExplanation | None
    step_times_s: dict[int, float]
    trials: tuple[ExplainedTrial, ...]
    scaling: ScalingFit | None
    prior: Prior | None
    horizon: HorizonExplanation | None = None


def explain(view: LogView) -> Explanation:
    """Return what the answer to a log rests on, as far as the log goes."""
    times = view.step_times
    search = None if times is None else view.model(TrialSearch)
    return Explanation(
        tuning_digest=view.tuning.digest(),
        steps=tuple(
            ExplainedStep(
                command=entry.command,
                stage=stage_of(entry.command),
                reason=reason_of(entry.command),
                wall_s=entry.wall_s,
            )
            for entry in view.log
            if not isinstance(entry.command, Unknown)
        ),
        memory=_memory(view),
        step_times_s={} if times is None else dict(sorted(times.step_times_s.items())),
        trials=() if search is None else _trials(search.ranking),
        scaling=None if search is None else _scaling(search),
        prior=view.prior,
        horizon=None if times is None else _horizon(view),
    )


def _horizon(view: LogView) -> HorizonExplanation | None:
    carried, rungs = view.model(Carrier).setting, view.model(CompleteRungs)
    if carried is None:
        return None
    return HorizonExplanation(
        trainings=tuple(
            ExplainedTraining(
                effective_batch_size=one.batch_size,
                learning_rate=one.learning_rate,
                samples=one.samples,
                time_s=one.time_s,
                loss=one.loss,
                is_compared=one in rungs.compared or one in rungs.whole,
            )
            for one in rungs.made.complete
        ),
        carried_factor=carried.carried_factor,
        batch_factor=carried.batch_factor,
        rate_factor=carried.rate_factor,
        batch_reason=str(carried.batch_carry),
    )


def _memory(view: LogView) -> MemoryExplanation | None:
    if next_inspection(view) is not None or not view.model(MemoryModel).traces:
        return None
    model = view.model(MemoryModel)
    return MemoryExplanation(
        peak_bytes=dict(sorted(model.curve.points.items())),
        budget_bytes=model.budget_bytes,
        correction=model.correction,
        max_micro_batch_size=model.max_micro_batch_size,
    )


def _trials(ranking: Ranking) -> tuple[ExplainedTrial, ...]:
    trials, best = ranking.trials.all, ranking.best
    sound = [trial for trial in trials if trial.is_sound]
    if best is None:
        return tuple(_explained(trial, None, None, is_tied=False) for trial in trials)
    ties = {trial.number for trial in ranking.ties_of(best, sound)}
    behind = {
        trial.number: 0.0 if trial is best else max(0.0, ranking.lead(best, trial))
        for trial in sound
    }
    order = sorted(behind, key=lambda number: (behind[number], number != best.number, number))
    ranks = {number: rank for rank, number in enumerate(order, start=1)}
    return tuple(
        _explained(
            trial,
            ranks.get(trial.number),
            behind.get(trial.number),
            is_tied=trial.number in ties,
        )
        for trial in trials
    )


def _explained(
    trial: Trial, rank: int | None, behind: float | None, *, is_tied: bool
) -> ExplainedTrial:
    return ExplainedTrial(
        number=trial.number,
        origin=trial.origin,
        effective_batch_size=trial.split.effective_batch_size,
        learning_rate=trial.learning_rate,
        held_out=trial.curve,
        training=trial.training,
        time_to_target_s=trial.typical_time_to_target_s,
        rank=rank,
        behind_doublings=behind,
        is_tied=is_tied,
    )


def _scaling(search: TrialSearch) -> ScalingFit | None:
    if not search.trials.all:
        return None
    acquisition: Acquisition = search.suggester.acquisition
    if acquisition.is_all_broken:
        return None
    law, suggested = acquisition.law, acquisition.least_expected_regret
    return ScalingFit(
        largest_rate=_fitted(law.largest_rate, law.probabilities),
        critical_batch_size=_fitted(law.critical_batch_size, law.probabilities),
        noise_scale=_fitted(law.noise_scale, law.probabilities),
        suggested_batch_size=suggested.point.effective_batch_size,
        suggested_rate=search.trials.learning_rate(suggested.point),
        expected_regret=suggested.expected_regret,
    )


def _fitted(values: Array, probabilities: Array) -> Fitted:
    """Return the median and the central interval of values that have probabilities.

    Each value stands for what is nearer to it than to the next ones: where one has nearly all of
    the probability, the interval reaches half of the way to both.
    """
    known, of = np.unique(values, return_inverse=True)
    shares = np.cumsum(np.bincount(of, probabilities))
    tail = (1 - _LEVEL) / 2
    places = np.searchsorted(shares, np.array([tail, 0.5, 1 - tail]) * shares[-1])
    low, middle, high = np.minimum(places, len(known) - 1).tolist()
    edges = np.concatenate([known[:1], (known[1:] + known[:-1]) / 2, known[-1:]])
    interval = Interval(low=float(edges[low]), high=float(edges[high + 1]))
    return Fitted(value=float(known[middle]), interval=interval)
