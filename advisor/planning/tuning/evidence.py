"""Tuned numbers of what every stage reads: the two budgets, the reference, invalid measurements."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBudgetTuning:
    """How much memory a step may take, and how much of it is not tensors.

    Attributes:
        min_margin_bytes: Bytes of a device left free at least, where the user names neither a
            limit nor a margin; at least 0. Rule of thumb, not tuned.
        margin_share: Share of a device's memory left free in that case, where that is more; at
            least 0 and below 1. Rule of thumb, not tuned: fragmentation and other processes take
            memory that no trace shows.
        cuda_context_bytes: Bytes that CUDA and its libraries take of a card that is not attached,
            where they cannot be measured; at least 0. Rule of thumb, not tuned.
        nccl_bytes: Bytes that NCCL keeps on each card to exchange gradients; at least 0. Rule of
            thumb, not tuned.
    """

    min_margin_bytes: int = 256 << 20
    margin_share: float = 0.03
    cuda_context_bytes: int = 512 << 20
    nccl_bytes: int = 384 << 20

    def __post_init__(self) -> None:
        """Refuse a budget that is larger than its device, or always empty.

        Raises:
            ValueError: A field is out of range.
        """
        if min(self.min_margin_bytes, self.cuda_context_bytes, self.nccl_bytes) < 0:
            raise ValueError("bytes must be at least 0")
        if not 0 <= self.margin_share < 1:
            raise ValueError("margin_share must be at least 0 and below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBudgetTuning:
    """How a request's seconds are shared out among the stages.

    Attributes:
        max_tracing_share: Share of the seconds after which no further micro-batch is traced to
            find the largest; from 0 to 1. Rule of thumb, not tuned.
        max_timing_share: Share of the seconds after which no further size is timed; from 0 to 1.
            Rule of thumb, not tuned.
        max_savings_share: Share of a recommendation's seconds after which neither memory savings
            nor a typical batch are traced, which decide nothing; from 0 to 1. Rule of thumb, not
            tuned.
        max_estimate_savings_share: The same of a memory estimate; from 0 to 1. Rule of thumb, not
            tuned.
        script_run_share: Share of the seconds, above 0 and below 1, for timed steps of the user's
            own script with the advised values, in addition to its start-up time. Rule of thumb,
            not tuned.
        verification_share: Share of the seconds kept for verification, in addition to the start-up
            time of the task; at least 0 and below 1. Rule of thumb, not tuned.
        min_hook_limit_s: Seconds, above 0, that a hook of the model file may take however small the
            budget: imports alone can take several. Rule of thumb, not tuned.
        limit_factor: Factor, at least 1, on the expected seconds of a command after which it is
            stopped as hanging. Rule of thumb, not tuned.
        overtime_factor: Factor, at least 1, on the budget, within which all commands together end,
            whatever their own limits. Rule of thumb, not tuned: a search keeps to its budget but
            for a command or two.
        min_wall_limit_s: Seconds, above 0, that all commands together may take however small the
            budget. Rule of thumb, not tuned: loading alone may take minutes.
    """

    max_tracing_share: float = 0.25
    max_timing_share: float = 0.35
    max_savings_share: float = 0.12
    max_estimate_savings_share: float = 0.13
    script_run_share: float = 0.05
    verification_share: float = 0.05
    min_hook_limit_s: float = 10.0
    limit_factor: float = 10.0
    overtime_factor: float = 4.0
    min_wall_limit_s: float = 300.0

    def __post_init__(self) -> None:
        """Refuse what leaves no time for trials, or stops every command.

        Raises:
            ValueError: A field is out of range.
        """
        if not 0 <= self.verification_share < 1:
            raise ValueError("verification_share must be at least 0 and below 1")
        if not 0 < self.script_run_share < 1:
            raise ValueError("script_run_share must be above 0 and below 1")
        if self.min_hook_limit_s <= 0:
            raise ValueError("min_hook_limit_s must be above 0")
        if min(self.limit_factor, self.overtime_factor) < 1:
            raise ValueError("limit_factor and overtime_factor must be at least 1")
        if self.min_wall_limit_s <= 0:
            raise ValueError("min_wall_limit_s must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationTuning:
    """How a script is observed.

    Attributes:
        step_count: Optimizer steps, at least 1, after which it is stopped. Rule of thumb, not
            tuned: a few that a gradient scaler skips, and a few groups of accumulated batches.
    """

    step_count: int = 20

    def __post_init__(self) -> None:
        """Refuse an observation of nothing.

        Raises:
            ValueError: A field is out of range.
        """
        if self.step_count < 1:
            raise ValueError("step_count must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceTuning:
    """The reference recipe where a model file names none, and the batches around it.

    Attributes:
        batch_size: Samples, at least 1: "B = 32 is a good default value", Bengio, arXiv 1206.5533,
            section 3.1.1.
        learning_rate: Above 0: the default of ``torch.optim.Adam``.
        min_batches_per_epoch: Steps of an epoch, at least 1, below which an effective batch is not
            considered. Rule of thumb, not tuned.
    """

    batch_size: int = 32
    learning_rate: float = 1e-3
    min_batches_per_epoch: int = 4

    def __post_init__(self) -> None:
        """Refuse a recipe that cannot be trained.

        Raises:
            ValueError: A field is out of range.
        """
        if self.batch_size < 1 or self.min_batches_per_epoch < 1:
            raise ValueError("batch_size and min_batches_per_epoch must be at least 1")
        if self.learning_rate <= 0:
            raise ValueError("learning_rate must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidMeasurementsTuning:
    """When other processes on a device make a measurement of memory invalid.

    Attributes:
        max_drift_bytes: Change of other processes' memory, bytes, at least 0, up to which a
            measurement is valid. Rule of thumb, not tuned: less is below the error of a prediction.
        max_repeats: How often one command is measured again, at least 0, before its result is used
            all the same. Rule of thumb, not tuned.
    """

    max_drift_bytes: int = 32 << 20
    max_repeats: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceTuning:
    """Tuned numbers of ``advisor.planning.evidence`` and of the two planners.

    Attributes:
        memory: How much memory a step may take.
        seconds: How the budget's seconds are shared out.
        observation: How a script is observed.
        reference: The reference recipe where a model file names none.
        invalid_measurements: When measurements of memory are repeated.
        max_rounding_share: Share, at least 0 and below 1, by which the largest micro-batch may be
            reduced to be a multiple of 8, the tile of tensor-core kernels. Rule of thumb, not
            tuned.
    """

    memory: MemoryBudgetTuning = field(default_factory=MemoryBudgetTuning)
    seconds: TimeBudgetTuning = field(default_factory=TimeBudgetTuning)
    observation: ObservationTuning = field(default_factory=ObservationTuning)
    reference: ReferenceTuning = field(default_factory=ReferenceTuning)
    invalid_measurements: InvalidMeasurementsTuning = field(
        default_factory=InvalidMeasurementsTuning
    )
    max_rounding_share: float = 0.02
