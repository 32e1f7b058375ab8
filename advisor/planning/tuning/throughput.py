"""Tuned numbers of the throughput stage."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingTuning:
    """Which micro-batch sizes are timed, and for how long.

    Rules of thumb, not tuned, where nothing else is said.

    Attributes:
        first_size: The first size to time, samples, at least 1.
        measure_share: Share of the budget, at least 0, for which each size is timed.
        min_measure_s: Seconds, above 0, for which it is timed at least.
        min_power_measure_s: The same where power is read too: a GPU's counter of energy is updated
            every tenth of a second or sooner (NVML).
        max_step_share: Share of the budget, above 0: a size whose steps are expected to take longer
            is not timed, as five of them are needed.
        min_gain: Ratio of samples/s, at least 1, by which doubling the batch twice must raise them
            for a larger size to be timed.
        min_rate_share: Share of the best samples/s, from 0 to 1, down to which smaller sizes are
            timed.
    """

    first_size: int = 8
    measure_share: float = 0.008
    min_measure_s: float = 0.05
    min_power_measure_s: float = 0.4
    max_step_share: float = 0.02
    min_gain: float = 1.05
    min_rate_share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse measurements without a length.

        Raises:
            ValueError: A value is out of its range.
        """
        if self.first_size < 1 or not self.min_gain >= 1:
            raise ValueError("first_size and min_gain must be at least 1")
        if not min(self.min_measure_s, self.min_power_measure_s, self.max_step_share) > 0:
            raise ValueError("times and max_step_share must be above 0")
        if not (self.measure_share >= 0 and 0 <= self.min_rate_share <= 1):
            raise ValueError("measure_share must be at least 0, min_rate_share from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentionTuning:
    """When CPU contention is reported.

    Attributes:
        max_wait_share: Time that threads waited for a core over the time of their steps, above 0:
            0.02 on two idle cores, 0.8 and more with one other process at work.
    """

    max_wait_share: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a share that no machine keeps to.

        Raises:
            ValueError: ``max_wait_share`` is not above 0.
        """
        if not self.max_wait_share > 0:
            raise ValueError("max_wait_share must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputTuning:
    """Tuned numbers of ``advisor.planning.throughput``.

    Attributes:
        timing: Which sizes are timed.
        contention: When CPU contention is reported.
    """

    timing: TimingTuning = field(default_factory=TimingTuning)
    contention: ContentionTuning = field(default_factory=ContentionTuning)
