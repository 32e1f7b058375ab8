"""What an answer rests on: curves, fits, ranks and reasons, as values that a report can draw."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.advice import Interval, MemoryPoint
from bsadvise.model.commands import TrialOrigin
from bsadvise.model.measurements import Measurement, Prior
from bsadvise.model.recommendation import Recommendation
from bsadvise.model.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryExplanation(Value):
    """The memory of a step by micro-batch size.

    Attributes:
        points: Traced peaks by rising size, without what the device's libraries take.
        budget_bytes: What a traced step may take.
        correction: Measured over traced memory, at least 1.
        max_micro_batch_size: The largest size that fits; 0 when none does.
    """

    points: tuple[MemoryPoint, ...]
    budget_bytes: int
    correction: float
    max_micro_batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimePoint(Value):
    """Seconds of a step at one micro-batch size, data loading left out."""

    micro_batch_size: int
    step_time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePoint(Value):
    """The gradient noise scale as the first steps of the reference recipe show it.

    Attributes:
        step_count: How many steps it is of.
        noise_scale: Samples, at least 0.
        interval: Its 80 % interval; None where the steps were too few to bound it.
    """

    step_count: int
    noise_scale: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCurve(Value):
    """A loss by modelled time of training; finite losses alone.

    Attributes:
        times_s: Modelled seconds, rising, above 0.
        losses: The loss at each.
    """

    times_s: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedTrial(Value):
    """One setting as it was trained, and how it compares.

    Attributes:
        number: 0 for the reference recipe.
        origin: Why it was run.
        effective_batch_size: Samples a step.
        learning_rate: Of every parameter group.
        held_out: Held-out loss against modelled seconds.
        training: Training loss against modelled seconds; None where it was not recorded.
        time_to_target_s: Modelled seconds to the target loss, the geometric mean over seeds; None
            if it was not reached, or none was asked for.
        rank: 1 for the best; None for a trial that cannot be recommended.
        behind_doublings: Doublings of training time by which it is behind the best, at least 0;
            None for a trial that cannot be recommended.
        is_tied: Whether the best is not clearly ahead of it; true of the best.
    """

    number: int
    origin: TrialOrigin
    effective_batch_size: int
    learning_rate: float
    held_out: LossCurve
    training: LossCurve | None = None
    time_to_target_s: float | None = None
    rank: int | None = None
    behind_doublings: float | None = None
    is_tied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted(Value):
    """A parameter that was fitted: its median and its 80 % interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class BestRate(Value):
    """The best learning rate at one batch by the scaling model.

    Attributes:
        effective_batch_size: The batch, samples.
        learning_rate: The rate with which it reaches the target first.
        relative_time: Its modelled time to the target with that rate, over the best setting's.
    """

    effective_batch_size: int
    learning_rate: Fitted
    relative_time: Fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingFit(Value):
    """The scaling model of batch size and learning rate, as the trials leave it.

    Attributes:
        largest_rate: The learning rate that curvature allows.
        critical_batch_size: The batch at which gradient noise costs as much as curvature, samples.
        noise_scale: The batch at which half of an adaptive optimizer's step is noise, samples; 0
            for others.
        suggested_batch_size: Of the setting that is expected to be least behind the best, samples.
        suggested_rate: Its learning rate.
        expected_regret: By how much the logarithm of its time to the target is expected to be
            above the best setting's.
        best_rates: By rising batch, at most 24 of those that may be tried.
    """

    largest_rate: Fitted
    critical_batch_size: Fitted
    noise_scale: Fitted
    suggested_batch_size: int
    suggested_rate: float
    expected_regret: float
    best_rates: tuple[BestRate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedTraining(Value):
    """A complete training of a stated length's search.

    Attributes:
        effective_batch_size: Samples a step.
        learning_rate: Peak rate.
        samples: Seen, repeats counted.
        time_s: Modelled seconds of its steps.
        loss: Held-out loss at its end; None if it diverged.
        is_compared: Whether it is of the length that settings compare by, and no shorter.
    """

    effective_batch_size: int
    learning_rate: float
    samples: float
    time_s: float
    loss: float | None = None
    is_compared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonExplanation(Value):
    """How a setting was carried to the stated length.

    Attributes:
        trainings: The complete trainings, oldest first.
        carried_factor: Samples of the stated training over those of the best, at least 1.
        batch_factor: The advised batch over that of the best.
        rate_factor: The advised peak rate over that of the best.
        batch_reason: Why the batch was carried to a larger one, or was not.
    """

    trainings: tuple[ExplainedTraining, ...] = ()
    carried_factor: float = 1.0
    batch_factor: float = 1.0
    rate_factor: float = 1.0
    batch_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Value):
    """What an answer rests on.

    Attributes:
        tuning_digest: Of the tuned numbers that it was made with.
        reasons: Why each measurement of the log was made, a sentence each; empty for one that
            this release does not know.
        memory: None before any step was traced.
        step_times: By rising micro-batch size; empty before any was timed.
        noise_scales: By rising number of steps; empty where it was not measured.
        trials: The reference first; empty before it was trained.
        scaling: None before there was a trial that trained well.
        prior: What earlier answers about the task had found; None where they were not asked for.
        horizon: How a setting was carried to the stated length; None where none was.
    """

    tuning_digest: str
    reasons: tuple[str, ...] = ()
    memory: MemoryExplanation | None = None
    step_times: tuple[StepTimePoint, ...] = ()
    noise_scales: tuple[NoisePoint, ...] = ()
    trials: tuple[ExplainedTrial, ...] = ()
    scaling: ScalingFit | None = None
    prior: Prior | None = None
    horizon: HorizonExplanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that is kept of one recommendation: what a report is made of.

    Attributes:
        recommendation: What was asked, and the answer.
        log: Every measurement, oldest first.
        explanation: What the answer rests on; None where the daemon is too old to say.
    """

    recommendation: Recommendation
    log: tuple[Measurement, ...]
    explanation: Explanation | None = None
