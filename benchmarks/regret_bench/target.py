"""The target loss of a workload, and the oracle: the setting of the grid that reaches it first.

L*     target loss: the lowest loss of the reference recipe in the first half of its run
T(s)   median over the seeds of a setting's modelled seconds to L*
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.recording import Recording

CAP = 8.0
"""A setting is trained for at most this many times the oracle's time, which is its time to target
if it has not reached the target by then."""

LEADERS = 6
"""Number of the grid's best settings that are trained with every seed of the comparison."""

_TARGET_SHARE = 0.5
_ROUNDING = 1e-3
"""Relative; rates of the grid are rounded to four digits."""


@dataclass(frozen=True, slots=True)
class Oracle:
    """One of the best settings of the grid, with its time to target.

    Attributes:
        setting: The setting.
        time_s: Its T, modelled seconds.
    """

    setting: Setting
    time_s: float

    @property
    def cap_s(self) -> float:
        """Seconds for which other settings are trained at most."""
        return CAP * self.time_s


def recorded_seeds(recording: Recording) -> tuple[int, ...]:
    """Return the seeds with which any of the grid was trained."""
    return tuple(sorted({run.seed for run in recording.runs}))


def reference_setting(recording: Recording) -> Setting:
    """Return the recipe of the file."""
    return Setting(recording.reference_batch_size, recording.reference_learning_rate)


def target_loss(recording: Recording) -> float:
    """Return L*. Raises LookupError where the reference was not recorded."""
    reference = reference_setting(recording)
    seeds = recorded_seeds(recording)
    reached = [
        recording.curve(run).best_until(_TARGET_SHARE * recording.recorded_s)
        for run in recording.runs
        if run.seed in seeds
        and run.batch_size == reference.batch_size
        and math.isclose(run.learning_rate, reference.learning_rate, rel_tol=_ROUNDING)
    ]
    if not reached:
        raise LookupError(f"{recording.workload}: the reference recipe was not recorded")
    return statistics.median(reached)


def median_s(times_s: Iterable[float | None]) -> float | None:
    """Return the median of times, None counting as infinite; None if the median is infinite."""
    median = statistics.median(math.inf if time_s is None else time_s for time_s in times_s)
    return None if math.isinf(median) else median


def grid_times_s(recording: Recording, target: float) -> dict[Setting, float | None]:
    """Return T of each setting that was recorded with all seeds."""
    seeds = recorded_seeds(recording)
    times_s: dict[Setting, list[float | None]] = defaultdict(list)
    for run in recording.runs:
        if run.seed in seeds:
            setting = Setting(run.batch_size, run.learning_rate)
            times_s[setting].append(recording.time_to(run, target))
    return {
        setting: median_s(reached) for setting, reached in times_s.items()
        if len(reached) == len(seeds)
    }  # fmt: skip


def find_leaders(recording: Recording, target: float) -> list[Oracle]:
    """Return the best settings of the grid, shortest T first, at most LEADERS.

    Raises:
        LookupError: None reached the target.
    """
    reached = {
        setting: time_s
        for setting, time_s in grid_times_s(recording, target).items()
        if time_s is not None
    }
    if not reached:
        raise LookupError(f"{recording.workload}: no setting reached {target}")
    fastest = sorted(reached, key=lambda setting: reached[setting])[:LEADERS]
    return [Oracle(setting, reached[setting]) for setting in fastest]
