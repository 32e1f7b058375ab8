"""Results of a workload's comparison: the time to target of each search's answer."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.regret_bench.answers import Case, answers_path, read_answers
from benchmarks.regret_bench.compare import Contest
from benchmarks.regret_bench.found import Found, Setting
from benchmarks.regret_bench.recording import path_of, read_recording
from benchmarks.regret_bench.target import CAP, Oracle, median_s, recorded_seeds, reference_setting
from benchmarks.regret_bench.workloads import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The time to target of one search's answer.

    Attributes:
        method: The method.
        seed: Seed.
        share: Seconds allowed over the oracle's; None for the default budget.
        found: The answer.
        time_s: Modelled seconds to the target; None if not reached.
    """

    method: str
    seed: int
    share: float | None
    found: Found
    time_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One workload.

    Attributes:
        workload: Its name.
        is_held_out: Whether it was not used to tune the advisor.
        grid_size: Settings of the grid.
        grid_seeds: Seeds with which all of them were trained.
        target_loss: The target loss.
        oracle: The best setting of the grid.
        oracle_times_s: Its times to target by seed, trained as the answers are.
        hindsight: The best of the grid's leaders by the same seeds; None if most runs did not
            reach the target.
        reference_times_s: Times to target of the file's recipe by seed.
        judged: Every search.
    """

    workload: str
    is_held_out: bool
    grid_size: int
    grid_seeds: tuple[int, ...]
    target_loss: float
    oracle: Setting
    oracle_times_s: dict[int, float | None]
    hindsight: Oracle | None
    reference_times_s: dict[int, float | None]
    judged: tuple[Judged, ...]

    def of(self, method: str, share: float | None = None) -> list[Judged]:
        """Return one method's searches at one cost, a seed each."""
        return [one for one in self.judged if (one.method, one.share) == (method, share)]

    def ratio(self, method: str, share: float | None = None) -> float | None:
        """Return the median time over the oracle's on the same seeds, at most the cap.

        None if the method was not asked, or the oracle did not reach the target.
        """
        judged = self.of(method, share)
        if not judged:
            return None
        oracle_s = median_s(self.oracle_times_s[one.seed] for one in judged)
        if oracle_s is None:
            return None
        time_s = median_s(one.time_s for one in judged)
        return CAP if time_s is None else min(time_s / oracle_s, CAP)

    @property
    def hindsight_ratio(self) -> float | None:
        """The time of the best in hindsight over the oracle's on the same seeds, at most 1."""
        oracle_s = median_s(self.oracle_times_s.values())
        if self.hindsight is None or oracle_s is None:
            return None
        return self.hindsight.time_s / oracle_s

    def cost(self, method: str, share: float | None = None) -> float | None:
        """Return the median of the seconds searched, over the oracle's time."""
        judged = self.of(method, share)
        oracle_s = median_s(self.oracle_times_s[one.seed] for one in judged) if judged else None
        if oracle_s is None:
            return None
        return statistics.median(one.found.cost_s for one in judged) / oracle_s

    def reached(self, method: str, share: float | None = None) -> tuple[int, int]:
        """Return how many answers reached the target, and how many there are."""
        judged = self.of(method, share)
        return sum(one.time_s is not None for one in judged), len(judged)


def read_result(workload: Workload, methods: Sequence[str], seeds: Sequence[int]) -> Result | None:
    """Return the results so far; None if there are none.

    Answers for another target or another time allowed are ignored.
    """
    path = path_of(workload.name)
    if not path.exists():
        return None
    contest = Contest(read_recording(path))
    recording = contest.recording
    try:
        oracle = contest.oracle
    except LookupError:
        return None
    answers = read_answers(answers_path(workload.name))
    cases = [
        case
        for case in contest.cases(methods, seeds)
        if case in answers and _is_trained(contest, case, answers[case])
    ]
    asked = sorted({case.seed for case in cases})
    if not asked:
        return None
    reference = reference_setting(recording)
    return Result(
        workload=workload.name,
        is_held_out=workload.is_held_out,
        grid_size=len({(run.batch_size, run.learning_rate) for run in recording.runs}),
        grid_seeds=recorded_seeds(recording),
        target_loss=contest.target_loss,
        oracle=oracle.setting,
        oracle_times_s={seed: _time_s(contest, oracle.setting, seed) for seed in asked},
        hindsight=_hindsight(contest, asked),
        reference_times_s={seed: _time_s(contest, reference, seed) for seed in asked},
        judged=tuple(_judge(contest, case, answers[case]) for case in cases),
    )


def _hindsight(contest: Contest, seeds: Sequence[int]) -> Oracle | None:
    medians = [
        Oracle(leader.setting, time_s)
        for leader in contest.leaders
        if (time_s := median_s(_time_s(contest, leader.setting, seed) for seed in seeds))
    ]
    return min(medians, key=lambda one: one.time_s, default=None)


def _is_trained(contest: Contest, case: Case, found: Found) -> bool:
    """Return whether an answer was trained; the comparison may have been interrupted."""
    setting = found.setting
    return setting is None or contest.times_to_target.is_known(
        setting, case.seed, contest.within_s(setting)
    )


def _judge(contest: Contest, case: Case, found: Found) -> Judged:
    time_s = None
    if found.setting is not None:
        time_s = _time_s(contest, found.setting, case.seed)
    return Judged(method=case.method, seed=case.seed, share=case.share, found=found, time_s=time_s)


def _time_s(contest: Contest, setting: Setting, seed: int) -> float | None:
    return contest.times_to_target.time_s(setting, seed, contest.within_s(setting))
