"""Results of a comparison: each answer's time at an equal final loss, and its loss gap."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.regret_bench.found import Setting
from benchmarks.trainings_bench.grid import Lattice, missing
from benchmarks.trainings_bench.judging import CAP, Judge
from benchmarks.trainings_bench.question import Answer, Case, answers_path, read_answers
from benchmarks.trainings_bench.recording import Training, path_of, read_trainings
from benchmarks.trainings_bench.times import read_times
from benchmarks.trainings_bench.workloads import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One answer.

    Attributes:
        case: What was asked.
        answer: What was answered.
        loss: Final loss of its setting; infinite if it diverged or there is none.
        time_ratio: Time to an equal loss over the oracle's, at most the cap.
        loss_gap: Loss above the grid's lowest, over the grid's spread.
        cost_share: Seconds of the search over those of the training with the file's recipe.
    """

    case: Case
    answer: Answer
    loss: float
    time_ratio: float
    loss_gap: float
    cost_share: float

    @property
    def is_loss_in_interval(self) -> bool | None:
        """Whether its 80 % interval holds the final loss; None where it has none."""
        said = self.answer.final_loss
        return None if said is None else said.low <= self.loss <= said.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One workload on one schedule.

    Attributes:
        workload: Which.
        schedule: Name of the schedule.
        machine: Where its steps were timed.
        training_s: Seconds of the training with the file's recipe.
        training_count: Trainings of the grid.
        is_complete: Whether the grid lacks none.
        oracle: The setting of the least time to an equal loss.
        lowest: The setting of the lowest loss.
        lowest_loss: Its loss.
        seed_factor: Factor of time by which two trainings of one setting differ, on average.
        judged: The answers.
    """

    workload: Workload
    schedule: str
    machine: str
    training_s: float
    training_count: int
    is_complete: bool
    oracle: Setting
    lowest: Setting
    lowest_loss: float
    seed_factor: float
    judged: tuple[Judged, ...]


def read_result(workload: Workload, schedule: str) -> Result | None:
    """Return the results so far; None where lengths are missing by which losses are compared."""
    trainings = [one for one in read_trainings(path_of(workload.name)) if one.schedule == schedule]
    of_grid = [one for one in trainings if one.is_of_grid]
    losses: dict[int, dict[Setting, float]] = {}
    for samples, setting in {(one.samples, one.setting) for one in of_grid}:
        losses.setdefault(samples, {})[setting] = mean_loss(of_grid, samples, setting)
    if workload.samples not in losses or len(losses) == 1:
        return None
    times = read_times(workload.name)
    judge = Judge(times=times, samples=workload.samples, losses=losses)
    training_s = times.step_time_s(times.reference_batch_size) * (
        workload.samples / times.reference_batch_size
    )
    answers = {
        case: answer
        for case, answer in read_answers(answers_path(workload.name)).items()
        if (case.schedule, case.samples) == (schedule, workload.samples)
    }
    lattice = Lattice(times=times, samples=workload.samples)
    return Result(
        workload=workload,
        schedule=schedule,
        machine=times.machine,
        training_s=training_s,
        training_count=len(of_grid),
        is_complete=missing(lattice, of_grid) is None,
        oracle=judge.fastest,
        lowest=judge.lowest,
        lowest_loss=judge.whole[judge.lowest],
        seed_factor=_seed_factor(judge, trainings),
        judged=tuple(
            judged
            for case, answer in answers.items()
            if (judged := _judged(judge, trainings, case, answer, training_s)) is not None
        ),
    )


def _seed_factor(judge: Judge, trainings: Sequence[Training]) -> float:
    """Return the factor of time between trainings of one setting with two seeds; 1 without."""
    log_times: dict[Setting, set[float]] = {}
    for one in trainings:
        if one.samples == judge.samples and math.isfinite(one.loss):
            log_time = judge.log_time(one.batch_size, one.loss)
            log_times.setdefault(one.setting, set()).add(log_time)
    spreads = [max(known) - min(known) for known in log_times.values() if len(known) > 1]
    return math.exp(statistics.fmean(spreads)) if spreads else 1.0


def mean_loss(trainings: Iterable[Training], samples: int, setting: Setting) -> float:
    """Return the mean final loss of a setting over its seeds.

    Raises:
        LookupError: It was not trained.
    """
    # A setting may have been trained for the grid and for an answer.
    by_seed = {
        one.seed: one.loss for one in trainings if (one.samples, one.setting) == (samples, setting)
    }
    if not by_seed:
        raise LookupError(f"{setting} was not trained")
    return statistics.fmean(by_seed.values())


def _judged(
    judge: Judge, trainings: Sequence[Training], case: Case, answer: Answer, training_s: float
) -> Judged | None:
    """Return what an answer came to; None while its setting is not trained."""
    if answer.setting is None:
        loss, ratio = math.inf, CAP
    else:
        try:
            loss = mean_loss(trainings, case.samples, answer.setting)
        except LookupError:
            return None
        ratio = judge.time_ratio(answer.setting.batch_size, loss)
    return Judged(
        case=case,
        answer=answer,
        loss=loss,
        time_ratio=ratio,
        loss_gap=judge.loss_gap(loss),
        cost_share=answer.cost_s / training_s,
    )
