"""What an answer rests on, read off a log: curves, fits, ranks, reasons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from bsadvise.model.advice import Interval, MemoryPoint
from bsadvise.model.commands import Train
from bsadvise.model.explanation import (
    BestRate,
    ExplainedTraining,
    ExplainedTrial,
    Explanation,
    Fitted,
    HorizonExplanation,
    LossCurve,
    MemoryExplanation,
    NoisePoint,
    ScalingFit,
    StepTimePoint,
)
from bsadvise.model.measurements import TrainRun
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
from advisor.planning.trials.batch_sizes import noise_scale_of
from advisor.planning.trials.ranking import Ranking
from advisor.planning.trials.trial_search import TrialSearch
from advisor.planning.trials.trials import Trial

T = TypeVar("T")

_LEVEL = 0.8
"""Probability of the intervals of what was fitted: that of all intervals of an answer."""

_MOST_POINTS = 24
"""Of a curve that could have one for every batch or step; a figure shows no more."""

_MOST_LOG = 50.0
"""Of a time over another: beyond it a setting is of no use, and a number stays one."""


def explain(view: LogView) -> Explanation:
    """Return what the answer to a log rests on, as far as the log goes."""
    times, memory = view.step_times, _memory(view)
    # Trials are of batches that are known to fit.
    search = None if times is None or memory is None else view.model(TrialSearch)
    return Explanation(
        tuning_digest=view.tuning.digest(),
        reasons=tuple(
            "" if isinstance(entry.command, Unknown) else reason_of(entry.command)
            for entry in view.log
        ),
        memory=memory,
        step_times=()
        if times is None
        else tuple(
            StepTimePoint(micro_batch_size=size, step_time_s=time_s)
            for size, time_s in sorted(times.step_times_s.items())
        ),
        noise_scales=tuple(_noise_scales(view)),
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
                loss=one.loss if math.isfinite(one.loss) else None,
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
        points=tuple(
            MemoryPoint(micro_batch_size=size, peak_bytes=peak_bytes)
            for size, peak_bytes in sorted(model.curve.points.items())
        ),
        budget_bytes=model.budget_bytes,
        correction=model.correction,
        max_micro_batch_size=model.max_micro_batch_size,
    )


def _noise_scales(view: LogView) -> Iterator[NoisePoint]:
    """Yield what the first steps of the reference run say of the noise scale, and all of them."""
    runs = (run for _, run in view.figures(Train, TrainRun))
    norms = next((run.gradient_norms for run in runs if run.gradient_norms is not None), None)
    if norms is None:
        return
    for count in _spread(range(2, len(norms.small_squared_norms) + 1)):
        first = replace(
            norms,
            small_squared_norms=norms.small_squared_norms[:count],
            big_squared_norms=norms.big_squared_norms[:count],
        )
        found = noise_scale_of(first, view.tuning.estimators.noise_scale)
        if found is not None:
            bounds = found.interval
            yield NoisePoint(
                step_count=count,
                noise_scale=found.value,
                interval=None if bounds is None else Interval(low=bounds[0], high=bounds[1]),
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
        held_out=_finite(trial.curve),
        training=None if trial.training is None else _finite(trial.training),
        time_to_target_s=trial.typical_time_to_target_s,
        rank=rank,
        behind_doublings=behind if behind is not None and math.isfinite(behind) else None,
        is_tied=is_tied,
    )


def _finite(curve: LearningCurve) -> LossCurve:
    points = [
        (time_s, loss)
        for time_s, loss in zip(curve.times_s, curve.losses, strict=True)
        if math.isfinite(loss)
    ]
    return LossCurve(
        times_s=tuple(time_s for time_s, _ in points), losses=tuple(loss for _, loss in points)
    )


def _scaling(search: TrialSearch) -> ScalingFit | None:
    if not search.trials.all:
        return None
    acquisition: Acquisition = search.suggester.acquisition
    if acquisition.is_all_broken:
        return None
    law, suggested = acquisition.law, acquisition.least_expected_regret
    at_target = law.at_target.probabilities
    return ScalingFit(
        largest_rate=_fitted(law.largest_rate, law.probabilities),
        critical_batch_size=_fitted(law.critical_batch_size, law.probabilities),
        noise_scale=_fitted(law.noise_scale, law.probabilities),
        suggested_batch_size=suggested.point.effective_batch_size,
        suggested_rate=search.trials.learning_rate(suggested.point),
        expected_regret=suggested.expected_regret,
        best_rates=tuple(
            BestRate(
                effective_batch_size=size,
                learning_rate=_fitted(rates, at_target),
                relative_time=_fitted(np.exp(np.clip(behind, 0.0, _MOST_LOG)), at_target),
            )
            for size, rates, behind in _spread(list(acquisition.best_rates()))
        ),
    )


def _spread(items: Sequence[T]) -> list[T]:
    """Return at most so many items as a figure shows: the first, the last, and evenly between."""
    if len(items) <= _MOST_POINTS:
        return list(items)
    step = (len(items) - 1) / (_MOST_POINTS - 1)
    return [items[round(step * place)] for place in range(_MOST_POINTS)]


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
