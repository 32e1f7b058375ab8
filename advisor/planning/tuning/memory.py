"""Tuned numbers of the memory stage."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryModelTuning:
    """How runs correct the prediction; ``python -m benchmarks.memory`` compares both.

    Attributes:
        misfit_factor: How much larger memory is taken to be after a run that did not fit, over the
            least that explains it; above 1. Rule of thumb, not tuned.
        agreement: Relative difference of run and prediction, at least 0, below which they agree:
            no interval is given then. Rule of thumb, not tuned.
    """

    misfit_factor: float = 1.03
    agreement: float = 0.01

    def __post_init__(self) -> None:
        """Refuse a correction that corrects nothing.

        Raises:
            ValueError: A value is out of its range.
        """
        if not (self.misfit_factor > 1 and self.agreement >= 0):
            raise ValueError("misfit_factor must be above 1, agreement at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlanTuning:
    """What is traced and run; ``python -m benchmarks.memory`` shows the sizes that it finds.

    All are rules of thumb, not tuned.

    Attributes:
        min_traces: Traces, at least 1, that are made whatever time they take.
        max_traces: Traces after which no more are made, at least ``min_traces``.
        max_runs: Runs of a largest size, at least 0.
        calibration_divisor: A card is first tried with the predicted largest size over this; at
            least 1.
        real_growth: Ratio, at least 2, to the next size where real steps stand in for traces.
        real_divisor: Where they do, the largest size that the last line allows is divided by this,
            at least 1: what is run to learn what fits must fit.
        max_run_share: Share of the budget, above 0, that running the largest size may take.
        run_step_count: Steps, above 0, whose time a run is expected to take: two and an evaluation
            batch, each of them accounted, which takes about as much again.
    """

    min_traces: int = 4
    max_traces: int = 12
    max_runs: int = 5
    calibration_divisor: int = 4
    real_growth: int = 8
    real_divisor: int = 2
    max_run_share: float = 0.15
    run_step_count: float = 5.0

    def __post_init__(self) -> None:
        """Refuse a search that does not begin or does not grow.

        Raises:
            ValueError: A value is out of its range.
        """
        if not 1 <= self.min_traces <= self.max_traces or self.max_runs < 0:
            raise ValueError("min_traces must be at least 1 and at most max_traces")
        if min(self.calibration_divisor, self.real_divisor) < 1 or self.real_growth < 2:
            raise ValueError("divisors must be at least 1 and real_growth at least 2")
        if not min(self.max_run_share, self.run_step_count) > 0:
            raise ValueError("max_run_share and run_step_count must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySavingsTuning:
    """What is traced that the answer does not depend on.

    All are rules of thumb, not tuned.

    Attributes:
        second_size_factor: The second size at which a memory saving of the model is traced, over
            the first; at least 2.
        max_typical_size: Samples, at least 1: in a larger micro-batch one sample is as long as the
            longest, so that no typical batch is traced.
    """

    second_size_factor: int = 2
    max_typical_size: int = 4096

    def __post_init__(self) -> None:
        """Refuse two sizes that are one.

        Raises:
            ValueError: A value is out of its range.
        """
        if self.second_size_factor < 2 or self.max_typical_size < 1:
            raise ValueError("second_size_factor must be at least 2, max_typical_size at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTuning:
    """Tuned numbers of ``advisor.planning.memory``.

    Attributes:
        model: How runs correct the prediction.
        plan: What is traced and run.
        savings: What is traced that the answer does not depend on.
    """

    model: MemoryModelTuning = field(default_factory=MemoryModelTuning)
    plan: MemoryPlanTuning = field(default_factory=MemoryPlanTuning)
    savings: MemorySavingsTuning = field(default_factory=MemorySavingsTuning)
