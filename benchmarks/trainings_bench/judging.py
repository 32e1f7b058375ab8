"""What a setting costs: its time at an equal final loss over the best's, and its loss gap.

    symbol  meaning                                                              unit
    D       the length of the training                                           samples
    L       final loss of a setting                                              –
    D*(L)   length after which the best setting of the grid has that loss        samples
    t_B     time of a sample with batch size B                                   s

A setting that ends with L has had the use of D*(L) samples of the best one, at its own price: its
time to an equal loss is in proportion to D/D*(L)·t_B. D* is interpolated in ln D between the best
losses at the recorded lengths.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.task import OptimizerFamily

from benchmarks.horizon_bench.tables import Grid
from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.recording import Recording

CAP = 8.0
"""The largest factor that is told: beyond it the recorded lengths do not say."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The grid of one workload and schedule.

    Attributes:
        times: Of the workload.
        samples: D.
        losses: Final losses by length in samples and setting, those of D among them; infinite
            where a training diverged.
    """

    times: Recording
    samples: int
    losses: Mapping[int, Mapping[Setting, float]]

    @cached_property
    def _grid(self) -> Grid:
        return Grid(
            model=self.times.workload,
            schedule="",
            is_adaptive=self.times.family != OptimizerFamily.SGD.value,
            losses={
                float(samples): {
                    (setting.batch_size, setting.learning_rate): loss
                    for setting, loss in known.items()
                }
                for samples, known in self.losses.items()
            },
        )

    @property
    def whole(self) -> Mapping[Setting, float]:
        """Final losses of trainings of D."""
        return self.losses[self.samples]

    @cached_property
    def lowest(self) -> Setting:
        """The setting of the lowest loss."""
        return min(self.whole, key=self.whole.__getitem__)

    @cached_property
    def fastest(self) -> Setting:
        """The setting of the least time to an equal loss: the oracle."""
        return min(self.whole, key=lambda one: self.log_time(one.batch_size, self.whole[one]))

    def log_time(self, batch_size: int, loss: float) -> float:
        """Return ln of the time to an equal loss, but for a constant; infinite if diverged.

        Args:
            batch_size: B of the setting.
            loss: Its L.
        """
        if not math.isfinite(loss):
            return math.inf
        sample_time_s = self.times.step_time_s(batch_size) / batch_size
        return self._grid.log_data(float(self.samples), loss) + math.log(sample_time_s)

    def time_ratio(self, batch_size: int, loss: float) -> float:
        """Return the time to an equal loss over the oracle's, at most the cap."""
        oracle = self.log_time(self.fastest.batch_size, self.whole[self.fastest])
        longer = self.log_time(batch_size, loss) - oracle
        return math.exp(longer) if longer < math.log(CAP) else CAP

    def loss_gap(self, loss: float) -> float:
        """Return the loss above the grid's lowest, over the grid's spread; infinite if diverged.

        The spread is from the lowest to the median of the settings that did not diverge.
        """
        finite = [one for one in self.whole.values() if math.isfinite(one)]
        lowest = self.whole[self.lowest]
        return (loss - lowest) / max(statistics.median(finite) - lowest, 1e-12)
