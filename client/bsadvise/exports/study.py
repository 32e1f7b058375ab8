"""A job's trials as a study: derived from its log alone, whatever they are then written to.

The reference recipe is trial 0. Losses are held-out losses by optimizer steps from fresh weights,
over all rungs of a trial. Trainings from other weights (seed repeats) are attributes of the trial
that they repeat.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from bsadvise.model.advice import Advice
from bsadvise.model.commands import TARGET_EVALUATIONS, Evaluate, Train, TrialOrigin
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
from bsadvise.model.recommendation import Event, Measured, Recommendation


class TrialState(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    """It reached the target loss, has as many rungs as any other, or is recommended."""
    PRUNED = "pruned"
    """It was stopped earlier than others."""
    FAIL = "fail"
    """It diverged, ran out of memory or time, or its code failed: a rung has no loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTrial:
    """One trial.

    Attributes:
        number: 0 for the reference recipe, then 1, 2, ….
        state: How it ended, so far.
        effective_batch_size: Samples an optimizer step.
        learning_rate: η.
        losses: Held-out loss by optimizer steps taken; finite ones alone.
        started_at_s: Unix time at which its first rung began.
        ended_at_s: Unix time at which its last rung ended.
        ran_out_of_memory: Whether its last rung did.
        attributes: What else is known of it, as JSON could hold it.
    """

    number: int
    state: TrialState
    effective_batch_size: int
    learning_rate: float
    losses: Mapping[int, float]
    started_at_s: float
    ended_at_s: float
    ran_out_of_memory: bool
    attributes: Mapping[str, Any]

    @property
    def final_loss(self) -> float | None:
        """The last held-out loss; None without one, and where the trial failed."""
        if self.state is TrialState.FAIL or not self.losses:
            return None
        return self.losses[max(self.losses)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All trials of a job.

    Attributes:
        trials: At least one, by number.
        attributes: What is known of the job, as JSON could hold it.
    """

    trials: tuple[StudyTrial, ...]
    attributes: Mapping[str, Any]

    @property
    def batch_size_range(self) -> tuple[int, int]:
        """The smallest and the largest effective batch that were tried."""
        sizes = [trial.effective_batch_size for trial in self.trials]
        return min(sizes), max(sizes)

    @property
    def learning_rate_range(self) -> tuple[float, float]:
        """The lowest and the highest learning rate that were tried."""
        rates = [trial.learning_rate for trial in self.trials]
        return min(rates), max(rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rung:
    """One training command with what came of it, and the Unix time at which it ended."""

    command: Train
    outcome: Outcome
    wall_s: float
    ended_at_s: float

    @property
    def end_loss(self) -> float | None:
        """The held-out loss at its end; None where there is none, or none that is finite."""
        run = self.outcome
        if not isinstance(run, TrainRun) or run.diverged or run.held_out_loss is None:
            return None
        return run.held_out_loss if math.isfinite(run.held_out_loss) else None


def measured_at_s(events: Iterable[Event], count: int) -> tuple[float, ...]:
    """Return the Unix times at which the first ``count`` measurements of a job ended.

    Reads no event after the last of them: the events of a running job do not end.
    """
    times_s = (event.at_s for event in events if isinstance(event.happening, Measured))
    return tuple(islice(times_s, count))


def make_study(
    recommendation: Recommendation,
    log: Sequence[Measurement],
    ended_at_s: Sequence[float],
    version: str,
) -> Study:
    """Return a job's trials as a study.

    Args:
        recommendation: The job, finished or running.
        log: Its measurements so far, oldest first.
        ended_at_s: Unix time at which each measurement ended; where it is shorter than the log,
            the time of the job's last change stands for the rest.
        version: Version of bsadvise that exports.

    Raises:
        ExportFailed: No trial was begun.
    """
    rungs: dict[int, list[_Rung]] = {}
    repeats: dict[int, list[_Rung]] = {}
    for index, entry in enumerate(log):
        if isinstance(entry.command, Train):
            at_s = ended_at_s[index] if index < len(ended_at_s) else recommendation.updated_at_s
            number = entry.command.trial_number
            trainings = repeats if entry.command.replicate else rungs
            trainings.setdefault(number, []).append(
                _Rung(
                    command=entry.command,
                    outcome=entry.outcome,
                    wall_s=entry.wall_s,
                    ended_at_s=at_s,
                )
            )
    if not rungs:
        raise ExportFailed(_why_no_trials(recommendation))
    most_rungs = max(map(len, rungs.values()))
    trials = tuple(
        _make_trial(number, rungs[number], repeats.get(number, ()), most_rungs, recommendation)
        for number in sorted(rungs)
    )
    return Study(trials=trials, attributes=_study_attributes(recommendation, log, version))


def _make_trial(
    number: int,
    rungs: Sequence[_Rung],
    repeats: Sequence[_Rung],
    most_rungs: int,
    recommendation: Recommendation,
) -> StudyTrial:
    first, last = rungs[0], rungs[-1]
    losses = _losses_by_step(rungs)
    is_recommended = _is_setting_of(recommendation.advice, first.command)
    if any(rung.end_loss is None for rung in rungs):
        state = TrialState.FAIL
    elif len(rungs) == most_rungs or is_recommended or _reached_target(last.command, losses):
        state = TrialState.COMPLETE
    else:
        state = TrialState.PRUNED
    return StudyTrial(
        number=number,
        state=state,
        effective_batch_size=first.command.effective_batch_size,
        learning_rate=first.command.learning_rate,
        losses=losses,
        started_at_s=first.ended_at_s - first.wall_s,
        ended_at_s=last.ended_at_s,
        ran_out_of_memory=isinstance(last.outcome, OutOfMemory),
        attributes=_known(
            trial=number,
            origin=(first.command.origin or TrialOrigin.REFERENCE).value,
            micro_batch_size=first.command.micro_batch_size,
            accumulation_steps=first.command.accumulation_steps,
            rung_count=len(rungs),
            step_count=_step_count(rungs),
            training_wall_s=math.fsum(rung.wall_s for rung in rungs),
            seed_repeat_count=len(repeats),
            seed_repeat_losses=[rung.end_loss for rung in repeats],
            is_recommended=is_recommended,
            error=_error_of(rungs),
        ),
    )


def _losses_by_step(rungs: Iterable[_Rung]) -> dict[int, float]:
    """Return the finite held-out losses by optimizer steps since the trial's beginning."""
    losses: dict[int, float] = {}
    begun = 0
    for rung in rungs:
        run = rung.outcome
        if not isinstance(run, TrainRun):
            continue
        pairs = list(zip(rung.command.evaluation_steps, run.earlier_losses, strict=False))
        if rung.end_loss is not None:
            pairs.append((run.step_count, rung.end_loss))
        losses |= {begun + step: loss for step, loss in pairs if math.isfinite(loss)}
        begun += run.step_count
    return losses


def _step_count(rungs: Iterable[_Rung]) -> int:
    return sum(rung.outcome.step_count for rung in rungs if isinstance(rung.outcome, TrainRun))


def _reached_target(command: Train, losses: Mapping[int, float]) -> bool:
    latest = [losses[step] for step in sorted(losses)[-TARGET_EVALUATIONS:]]
    if command.target_loss is None or len(latest) < TARGET_EVALUATIONS:
        return False
    return math.fsum(latest) / TARGET_EVALUATIONS <= command.target_loss


def _is_setting_of(advice: Advice | None, command: Train) -> bool:
    return (
        advice is not None
        and advice.effective_batch_size == command.effective_batch_size
        and math.isclose(advice.learning_rate, command.learning_rate, rel_tol=1e-6)
    )


def _error_of(rungs: Iterable[_Rung]) -> str | None:
    """Return what went wrong, in words; None where nothing did."""
    for rung in rungs:
        match rung.outcome:
            case OutOfMemory(message=message, is_host=is_host):
                return f"out of {'host' if is_host else 'device'} memory: {message}"
            case Failed(fault=fault):
                return str(fault)
            case TimedOut(limit_s=limit_s, place=place):
                return f"did not end within {limit_s:g} s" + (f": {place}" if place else "")
            case TrainRun() if rung.end_loss is None:
                return "the loss was not finite"
    return None


def _study_attributes(
    recommendation: Recommendation, log: Sequence[Measurement], version: str
) -> dict[str, Any]:
    advice, refusal = recommendation.advice, recommendation.refusal
    untrained = (
        entry.outcome.held_out_loss
        for entry in log
        if isinstance(entry.command, Evaluate) and isinstance(entry.outcome, Evaluation)
    )
    return _known(
        bsadvise_version=version,
        bsadvise_job=recommendation.recommendation_id,
        state=recommendation.state.value,
        request=recommendation.request.to_dict(),
        device=recommendation.device.to_dict(),
        answer=None if advice is None else advice.to_dict(),
        refusal=None if refusal is None else refusal.to_dict(),
        untrained_held_out_loss=next(untrained, None),
    )


def _known(**attributes: Any) -> dict[str, Any]:  # noqa: ANN401 - what JSON can hold
    """Return the attributes of which something is known."""
    return {name: value for name, value in attributes.items() if value is not None}


def _why_no_trials(recommendation: Recommendation) -> str:
    job, advice = recommendation.recommendation_id, recommendation.advice
    if advice is not None and advice.search.cache_hit:
        return (
            f"{job} has no trials of its own: its answer was remembered. Export the job that "
            "measured it, or ask again with --no-cache."
        )
    return f"{job} has no trials; it is {recommendation.state}."
