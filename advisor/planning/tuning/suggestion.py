"""Tuned numbers of what suggests the next trial."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionTuning:
    """Settings that the scaling model predicts for, and what it is asked; t is time to target.

    Chosen by hand on the ten development workloads of benchmarks/README.md.
    ``python -m benchmarks.replay WORKLOAD…`` prints the time to target that they lead to, and
    ``python -m benchmarks.answers --check`` whether a change of them changes any.

    Attributes:
        rate_steps_per_doubling: Learning rates predicted for in each doubling, at least 1.
            Numerical resolution, not tuned.
        doublings_below_reference: Doublings from the lowest of them to the reference's rate, at
            least 0. Rule of thumb, not tuned.
        doublings_above_reference: From the reference's rate to the highest, at least 0. Likewise.
        max_log_regret: The most, in ln t, that one law may expect a setting to be behind the best,
            above 0: a setting that never reaches the target has a finite expected regret.
        speed_power: Speeds are expected to this power, above 0: the higher, the more does a small
            probability of a high speed count.
        max_multiplier_factor: Largest multiplier suggested, over the largest that trained well; at
            least 1.
    """

    rate_steps_per_doubling: int = 3
    doublings_below_reference: int = 4
    doublings_above_reference: int = 10
    max_log_regret: float = math.log(8)
    speed_power: float = 1.5
    max_multiplier_factor: float = 4.0

    def __post_init__(self) -> None:
        """Refuse an empty grid and powers that reverse the order.

        Raises:
            ValueError: A value is out of its range.
        """
        if self.rate_steps_per_doubling < 1:
            raise ValueError("rate_steps_per_doubling must be at least 1")
        if min(self.doublings_below_reference, self.doublings_above_reference) < 0:
            raise ValueError("doublings must be at least 0")
        if not min(self.max_log_regret, self.speed_power) > 0:
            raise ValueError("max_log_regret and speed_power must be above 0")
        if not self.max_multiplier_factor >= 1:
            raise ValueError("max_multiplier_factor must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestTuning:
    """When which source of suggestions is asked, and how far from known settings it may go.

    Chosen by hand on the ten development workloads; ``python -m benchmarks.replay`` prints the
    answers that the planner gives with them.

    Attributes:
        max_trials_without_improvement: Trials in a row without a new best after which the search
            ends; at least 1.
        sampler_range_factor: Factor, at least 1, of batch size and of multiplier about the best
            trial within which the sampler proposes.
        max_expected_regret: In ln t, at least 0: up to it the setting of least expected regret is
            tried; above it, while there is time, that of highest expected speed.
        distinct_batch_factor: Factor between batch sizes, at least 1, within which a predicted
            setting counts as tried where its rate is near too.
        distinct_multiplier_factor: The same of multipliers.
        multiplier_range: Factor, above 1, from the first rates to the lowest and the highest
            multiplier. Rule of thumb, not tuned.
        fallback_divisor: While nothing trains well, each multiplier is the lowest one tried over
            this; above 1. Rule of thumb, not tuned.
        sampler_rungs: Losses of a trial that a sampler is shown, each at twice the time of the one
            before, the last at the horizon; at least 1. Rule of thumb, not tuned.
    """

    max_trials_without_improvement: int = 16
    sampler_range_factor: float = 4.0
    max_expected_regret: float = 0.15
    distinct_batch_factor: float = 1.62
    distinct_multiplier_factor: float = 1.35
    multiplier_range: float = 64.0
    fallback_divisor: float = 8.0
    sampler_rungs: int = 12

    def __post_init__(self) -> None:
        """Refuse empty ranges and a search that does not begin.

        Raises:
            ValueError: A value is out of its range.
        """
        if min(self.max_trials_without_improvement, self.sampler_rungs) < 1:
            raise ValueError("max_trials_without_improvement and sampler_rungs must be at least 1")
        factors = (self.distinct_batch_factor, self.distinct_multiplier_factor)
        if not min(self.sampler_range_factor, *factors) >= 1:
            raise ValueError("factors must be at least 1")
        if not self.max_expected_regret >= 0:
            raise ValueError("max_expected_regret must be at least 0")
        if not min(self.multiplier_range, self.fallback_divisor) > 1:
            raise ValueError("multiplier_range and fallback_divisor must be above 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighboursTuning:
    """How far neighbours of the best trial are from it.

    Attributes:
        batch_factor: Between batch sizes of neighbours, above 1. Chosen by hand on the ten
            development workloads (``python -m benchmarks.replay``).
        multiplier_factor: Between their multipliers, above 1. Likewise.
    """

    batch_factor: float = 2.0
    multiplier_factor: float = 1.7

    def __post_init__(self) -> None:
        """Refuse steps that lead nowhere.

        Raises:
            ValueError: A value is out of its range.
        """
        if not min(self.batch_factor, self.multiplier_factor) > 1:
            raise ValueError("batch_factor and multiplier_factor must be above 1")
