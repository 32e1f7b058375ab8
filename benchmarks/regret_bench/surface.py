"""Interpolation of a recorded grid: losses and times to target of any setting, without training.

j        doublings of the batch, log₂ B
k        doublings of the rate above the scaling rule

Between settings, losses and logarithms of times are interpolated linearly in j and k; between
evaluations, losses are interpolated linearly in the logarithm of time.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from advisor.estimators.learning_curve import LearningCurve
from advisor.estimators.scaling_rules import scale_learning_rate
from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.oracle import FIRST_SEED
from benchmarks.regret_bench.recording import Recording, Run
from benchmarks.regret_bench.target import CAP, find_leaders, median_s, target_loss

_MAJORITY = 0.5
"""A setting diverges, or misses the target, if more than this weight of its neighbours does."""

_NEARLY = 0.9
"""A run whose last evaluation is before this share of its time ended because it diverged."""

_UNTRAINED = 0.999
"""Step number of the untrained model's loss, just before the first possible evaluation."""

Corner = tuple[int, int]
"""j and k of a setting of the grid."""


@dataclass(frozen=True)
class Surface:
    """Losses and times to target of a workload's settings, from its recording.

    Losses are those of the first seed; times to the target are medians over the seeds.

    Attributes:
        recording: The workload's grid.
    """

    recording: Recording

    @cached_property
    def target_loss(self) -> float:
        """L* of the benchmark."""
        return target_loss(self.recording)

    @cached_property
    def oracle_s(self) -> float:
        """T of the best setting of the grid."""
        return find_leaders(self.recording, self.target_loss)[0].time_s

    def loss(self, setting: Setting, time_s: float) -> float:
        """Return the held-out loss after some modelled seconds; infinite after divergence."""
        within_s = time_s / self._slowness(setting)
        total = lost = 0.0
        for corner, weight in self._corners(setting):
            loss = self._curves[corner].loss_at(within_s)
            lost += weight * math.isinf(loss)
            total += weight * (self.recording.initial_loss if math.isinf(loss) else loss)
        return math.inf if lost > _MAJORITY or self._diverges_outside(setting) else total

    def ratio(self, setting: Setting) -> float:
        """Return a setting's time to the target over the oracle's; CAP where it is above that."""
        cap_s = CAP * self.oracle_s
        total = lost = 0.0
        for corner, weight in self._corners(setting):
            time_s = self._times_s[corner]
            lost += weight * (time_s is None)
            total += weight * math.log(cap_s if time_s is None else time_s)
        if lost > _MAJORITY or self._diverges_outside(setting):
            return CAP
        return min(math.exp(total) * self._slowness(setting) / self.oracle_s, CAP)

    def _corners(self, setting: Setting) -> Iterator[tuple[Corner, float]]:
        """Yield the grid's settings around one, with their interpolation weights."""
        batch = _neighbours(self._batches, math.log2(setting.batch_size))
        rate = _neighbours(self._powers, self._power(setting))
        for (j, along), (k, across) in itertools.product(batch, rate):
            yield (j, k), along * across

    def _slowness(self, setting: Setting) -> float:
        """Return the time of a setting outside the grid, relative to the edge of the grid.

        Below the lowest rate, progress per step is proportional to the rate. Above the largest
        batch, progress per step is that of the largest batch.
        """
        edge = 2 ** self._batches[-1]
        step_time_s = self.recording.step_time_s
        larger = step_time_s(max(setting.batch_size, edge)) / step_time_s(edge)
        lower: float = 2 ** max(0.0, self._powers[0] - self._power(setting))
        return larger * lower

    def _diverges_outside(self, setting: Setting) -> bool:
        return self._power(setting) > self._powers[-1] + _MAJORITY

    def _power(self, setting: Setting) -> float:
        """Return k."""
        recording = self.recording
        ratio = setting.batch_size / recording.reference_batch_size
        rule = scale_learning_rate(
            recording.optimizer_family, recording.reference_learning_rate, ratio
        )
        return math.log2(setting.learning_rate / rule)

    def _corner(self, run: Run) -> Corner:
        setting = Setting(run.batch_size, run.learning_rate)
        return round(math.log2(run.batch_size)), round(self._power(setting))

    @cached_property
    def _powers(self) -> list[int]:
        return sorted({k for _, k in self._curves})

    @cached_property
    def _batches(self) -> list[int]:
        """The batches that were recorded with every rate."""
        powers = self._powers
        batches = sorted({j for j, _ in self._curves})
        return [j for j in batches if all((j, k) in self._curves for k in powers)]

    @cached_property
    def _curves(self) -> dict[Corner, LearningCurve]:
        return {
            self._corner(run): self._curve(run)
            for run in self.recording.runs
            if run.seed == FIRST_SEED
        }

    def _curve(self, run: Run) -> LearningCurve:
        """Return the recorded losses of a run; infinite after divergence."""
        step_time_s = self.recording.step_time_s(run.batch_size)
        times_s = [step * step_time_s for step in (_UNTRAINED, *run.steps)]
        losses = [self.recording.initial_loss, *run.losses]
        if times_s[-1] < _NEARLY * self.recording.recorded_s:
            times_s.append(times_s[-1] + step_time_s)
            losses.append(math.inf)
        return LearningCurve(tuple(times_s), tuple(losses))

    @cached_property
    def _times_s(self) -> dict[Corner, float | None]:
        """The medians of seconds to the target over the seeds that a setting was trained with."""
        times_s: dict[Corner, list[float | None]] = defaultdict(list)
        for run in self.recording.runs:
            times_s[self._corner(run)].append(self.recording.time_to(run, self.target_loss))
        return {corner: median_s(each) for corner, each in times_s.items()}


def _neighbours(axis: list[int], value: float) -> list[tuple[int, float]]:
    """Return the values of an ascending axis around one, with their weights; the end if outside."""
    value = min(max(value, axis[0]), axis[-1])
    above = bisect.bisect_left(axis, value)
    if axis[above] == value:
        return [(axis[above], 1.0)]
    low, high = axis[above - 1], axis[above]
    share = (value - low) / (high - low)
    return [(low, 1 - share), (high, share)]
