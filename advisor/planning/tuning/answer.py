"""Tuned numbers of the answer: the choice of a setting, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from advisor.estimators.gradient_clipping import GradientClippingTuning
from advisor.estimators.hyperparameter_rules import HyperparameterRulesTuning


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceTuning:
    """When losses, times and memory count as equal, and when the reference has converged.

    Attributes:
        loss_margin: Share of a loss, at least 0, by which another counts as nearly as good. Rule
            of thumb; ``python -m benchmarks.answers --check`` shows which answers a change alters.
        min_progress_margin: The least that margin may be, as a share of the fall from the initial
            loss, at least 0. Likewise.
        max_progress_margin: The most that it may be, as such a share, below 1. Likewise.
        min_relative_fall: Share of the largest fall of the loss in any trial, from 0 to 1, below
            which the reference's own fall has not really begun. Likewise.
        settled_share: Share of the reference's training time, above 0 and at most 1, by which it
            must have come to nearly its best loss to count as converged. Likewise.
        time_tie_factor: Factor, at least 1, within which two times to the target cannot be told
            apart by a short trial. Likewise.
        memory_tie_share: Share, at least 0, by which peaks may differ and still count as equal; of
            such splits the one of fewest steps is taken. Rule of thumb, not tuned.
    """

    loss_margin: float = 0.03
    min_progress_margin: float = 0.002
    max_progress_margin: float = 0.02
    min_relative_fall: float = 0.5
    settled_share: float = 0.5
    time_tie_factor: float = 1.1
    memory_tie_share: float = 0.01

    def __post_init__(self) -> None:
        """Refuse margins that exclude the best itself.

        Raises:
            ValueError: A field is out of range.
        """
        if not 0 <= self.min_progress_margin <= self.max_progress_margin < 1:
            raise ValueError("progress margins must be from 0 to below 1, the least first")
        if min(self.loss_margin, self.memory_tie_share) < 0 or self.time_tie_factor < 1:
            raise ValueError("a margin must be at least 0, and time_tie_factor at least 1")
        if not 0 < self.settled_share <= 1:
            raise ValueError("settled_share must be above 0 and at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceTuning:
    """What is added to the chosen setting.

    Attributes:
        max_alternative_share: Share of the advice's time, samples or memory, above 0 and at most 1,
            that an alternative may take to be named. Rule of thumb, not tuned.
        min_rivals: Other trials, at least 1, that a choice must have been compared with for high
            confidence. Rule of thumb, not tuned.
        max_slowdown: Factor, above 1, by which training may be slower than timed steps before the
            machine is reported as busy. Rule of thumb, not tuned.
        batch_norm_groups: Micro-batches in groups of ghost batch normalisation, at least 1, from
            which on batch normalisation is warned of. Rule of thumb, not tuned.
        min_schedule_saving: Share of the time to the target, from 0 to below 1, that a growing
            batch must save to be given. Rule of thumb, not tuned.
        max_ended_share: Share of the budget, from 0 to 1, below which a search ended because it
            converged. Rule of thumb, not tuned.
        budget_growth: Factor, above 1, by which a larger budget is proposed at least. Rule of
            thumb, not tuned.
    """

    max_alternative_share: float = 0.9
    min_rivals: int = 3
    max_slowdown: float = 3.0
    batch_norm_groups: int = 4
    min_schedule_saving: float = 0.1
    max_ended_share: float = 0.8
    budget_growth: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a larger budget that is none.

        Raises:
            ValueError: A field is out of range.
        """
        if self.budget_growth <= 1:
            raise ValueError("budget_growth must be above 1")
        if not 0 <= self.min_schedule_saving < 1:
            raise ValueError("min_schedule_saving must be from 0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelatedTuning:
    """Which hyperparameters are named that published rules change along with the batch.

    Attributes:
        min_factor: Factor, at least 1, by which a rule's value must differ from the trained one to
            be named. Rule of thumb, not tuned.
        min_epsilon: ε of Adam, above 0, below which it only guards against dividing by zero,
            whatever the batch. Rule of thumb, not tuned.
        min_throughput_gain: Factor on samples/s, at least 1, that a larger batch must gain to
            replace a decay of the learning rate. Rule of thumb, not tuned.
        rules: Numbers of the rules themselves.
    """

    min_factor: float = 1.25
    min_epsilon: float = 1e-6
    min_throughput_gain: float = 1.1
    rules: HyperparameterRulesTuning = field(default_factory=HyperparameterRulesTuning)

    def __post_init__(self) -> None:
        """Refuse factors that every value differs by.

        Raises:
            ValueError: A field is out of range.
        """
        if min(self.min_factor, self.min_throughput_gain) < 1:
            raise ValueError("min_factor and min_throughput_gain must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedupTuning:
    """The interval of a speedup.

    Attributes:
        extrapolation_deviation: c, standard deviation of the logarithm of the ratio of two times to
            the target, for each doubling of training time that is extrapolated; at least 0. From
            searches replayed on recordings: ``python -m benchmarks.replay``.
    """

    extrapolation_deviation: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a negative deviation.

        Raises:
            ValueError: ``extrapolation_deviation`` is out of range.
        """
        if self.extrapolation_deviation < 0:
            raise ValueError("extrapolation_deviation must be at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationTuning:
    """The run of the setting that is to be recommended.

    Attributes:
        max_steps: Steps that are run, where there is time for them. Rule of thumb, not tuned.
        min_steps: Steps that are run in any case, at least 1. Rule of thumb, not tuned.
        max_budget_share: Share of the budget, at least 0, beyond which fewer steps are run. Rule of
            thumb, not tuned.
        max_attempts: Settings that are run at most, at least 1, as each that does not fit makes for
            another choice. Rule of thumb, not tuned.
    """

    max_steps: int = 8
    min_steps: int = 3
    max_budget_share: float = 0.1
    max_attempts: int = 4

    def __post_init__(self) -> None:
        """Refuse a run without steps.

        Raises:
            ValueError: A field is out of range.
        """
        if not 1 <= self.min_steps <= self.max_steps:
            raise ValueError("steps must be at least 1, and the least no more than the most")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptCheckTuning:
    """The run of the user's own script with the advised values.

    Attributes:
        max_steps: Steps after which it is stopped, at least 1. Rule of thumb, not tuned.
        max_peak_factor: Factor on the predicted peak, at least 1, above which the script's own is
            said to differ. Rule of thumb, not tuned.
        rate_factor: Factor, at least 1, by which throughput may lie outside of the predicted
            interval: that is of the steps that were timed, and a machine is not as busy at another
            time. Rule of thumb, not tuned.
    """

    max_steps: int = 1000
    max_peak_factor: float = 1.1
    rate_factor: float = 1.1

    def __post_init__(self) -> None:
        """Refuse a run without steps, and factors that nothing keeps to.

        Raises:
            ValueError: A field is out of range.
        """
        if self.max_steps < 1 or min(self.max_peak_factor, self.rate_factor) < 1:
            raise ValueError("max_steps and both factors must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTuning:
    """Tuned numbers of ``advisor.planning.answer``.

    Attributes:
        choice: When losses, times and memory count as equal.
        advice: What is added to the chosen setting.
        related: Which related hyperparameters are named.
        speedup: How wide the interval of the speedup is.
        verification: How the chosen setting is run.
        script_check: How the user's own script is run with it.
        clipping: From how many steps a gradient norm to clip at is given.
    """

    choice: ChoiceTuning = field(default_factory=ChoiceTuning)
    advice: AdviceTuning = field(default_factory=AdviceTuning)
    related: RelatedTuning = field(default_factory=RelatedTuning)
    speedup: SpeedupTuning = field(default_factory=SpeedupTuning)
    verification: VerificationTuning = field(default_factory=VerificationTuning)
    script_check: ScriptCheckTuning = field(default_factory=ScriptCheckTuning)
    clipping: GradientClippingTuning = field(default_factory=GradientClippingTuning)
