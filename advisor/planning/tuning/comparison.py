"""Tuned numbers of how trials are read and compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCurveTuning:
    """How trials are read from the log.

    Attributes:
        reach_factor: A trial counts as trained for a time of up to this factor of its own, at
            least 1, as it ends at a whole step. Rule of thumb, not tuned.
        missed_factor: The time to target of a replicate that did not reach it, over the time that
            it was given; at least 1. Rule of thumb, not tuned.
        informative_share: Training losses are compared once they have fallen by this share, from
            0 to 1, of what the held-out loss has. Chosen by hand on the ten development workloads
            (``python -m benchmarks.replay``).
        first_epochs: Epochs, above 0, in which training loss falls as held-out loss does. Repeated
            data is nearly as good as new for about four epochs (arXiv 2305.16264).
        min_time_ratio: Factor, above 1, between the times of two evaluations of a learning curve:
            they must rise. Numerical resolution, not tuned.
    """

    reach_factor: float = 1.05
    missed_factor: float = 2.0
    informative_share: float = 0.25
    first_epochs: float = 4.0
    min_time_ratio: float = 1.001

    def __post_init__(self) -> None:
        """Refuse times that do not rise, and shares out of range.

        Raises:
            ValueError: A value is out of its range.
        """
        if not min(self.reach_factor, self.missed_factor) >= 1:
            raise ValueError("reach_factor and missed_factor must be at least 1")
        if not 0 <= self.informative_share <= 1:
            raise ValueError("informative_share must be from 0 to 1")
        if not (self.first_epochs > 0 and self.min_time_ratio > 1):
            raise ValueError("first_epochs must be above 0 and min_time_ratio above 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingTuning:
    """How short trainings are compared.

    ``python -m benchmarks.replay WORKLOAD…`` prints the time to target that they lead to on
    the ten development workloads of benchmarks/README.md, by hand on which they were chosen.

    Attributes:
        noise_penalty: Doublings of training time by which a setting is held back, for each
            doubling that is still to go to the target and for each factor of 2 in the ratio of
            learning-rate multiplier to batch size; at least 0. From
            ``python -m benchmarks.replay --all-variants``.
        most_noise_penalty: Doublings, the most for each factor of 2; at least 0. Likewise.
        max_doublings_to_go: The most doublings of time that are taken to be left to the target, at
            least 0: the fall of a loss is not extrapolated farther.
        unknown_doublings_to_go: Doublings taken to be left where no target is set or the loss does
            not fall, at least 0: one trains on for longer than any trial.
        trend_doublings: Doublings of time, above 0, over which the fall of a loss is measured to
            extrapolate it.
        unreached_lead_doublings: Doublings, at least 0, by which a trial that reached the target is
            ahead of one that was trained for as long and did not.
        tie_doublings: Doublings of time, at least 0, within which trials short of the target tie.
        reached_tie_doublings: The same of trials that reached it.
        max_depth_ratio: Factor, at least 1, by which a trial may be trained for less than the best
            and still tie with it.
        backward_steps: Points, at least 1, at which a curve is read to find when it stood at a
            loss. Numerical resolution, not tuned.
    """

    noise_penalty: float = 0.15
    most_noise_penalty: float = 0.25
    max_doublings_to_go: float = 4.0
    unknown_doublings_to_go: float = 1.5
    trend_doublings: float = 2.0
    unreached_lead_doublings: float = 1.0
    tie_doublings: float = 0.3
    reached_tie_doublings: float = 0.15
    max_depth_ratio: float = 1.5
    backward_steps: int = 48

    def __post_init__(self) -> None:
        """Refuse negative doublings and resolutions of nothing.

        Raises:
            ValueError: A value is out of its range.
        """
        doublings = (
            *(self.noise_penalty, self.most_noise_penalty, self.max_doublings_to_go),
            *(self.unknown_doublings_to_go, self.unreached_lead_doublings),
            *(self.tie_doublings, self.reached_tie_doublings),
        )
        if not min(doublings) >= 0:
            raise ValueError("penalties, doublings and ties must be at least 0")
        if not self.trend_doublings > 0:
            raise ValueError("trend_doublings must be above 0")
        if not (self.max_depth_ratio >= 1 and self.backward_steps >= 1):
            raise ValueError("max_depth_ratio and backward_steps must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedVarianceTuning:
    """The prior of the seed-to-seed deviation of ln(time to target).

    Attributes:
        prior_deviation: The deviation before any setting was trained again, above 0. Near the best
            settings of the benchmark's recordings it is 0.12 to 0.2, over three seeds each
            (docs/convergence.md).
        prior_weight: Degrees of freedom that the prior counts as, above 0. Rule of thumb, not
            tuned.
    """

    prior_deviation: float = 0.2
    prior_weight: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a prior without a width or a weight.

        Raises:
            ValueError: A value is out of its range.
        """
        if not min(self.prior_deviation, self.prior_weight) > 0:
            raise ValueError("prior_deviation and prior_weight must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossLevelsTuning:
    """At which losses curves are compared, and how a slope is extrapolated to the target.

    D is the slope −dL/d ln t of a learning curve and α its exponent as a power law. Chosen by hand
    on the ten development workloads of benchmarks/README.md; ``python -m benchmarks.replay`` prints
    the answers that the planner gives with them.

    Attributes:
        levels_per_curve: Levels along the curve of the trial of lowest loss, at least 2.
        max_trials: The most trials that are compared, at least 1. Bounds the time of the fit, not
            tuned.
        max_comparisons: The most trials times levels, at least ``max_trials``. Likewise.
        usual_exponent: α where losses may be below 0, above 0; also the α by which D is
            extrapolated to the target.
        min_exponent: The least α, above 0.
        max_exponent: The largest α.
        min_slope_power: The power of the loss, at least 0, as which D falls at least.
        max_slope_power: The power as which it falls at most.
        min_slope_share: The least of D that is left at the target, above 0 and at most 1.
        max_flattening: The most by which D counts for more where another curve is steeper at the
            same loss; at least 1.
        unknown_slope_share: Of D, what is taken to be left where there is no target, above 0: one
            trains on for longer than any trial.
        broken_rise_share: A trial is broken whose loss stands above the untrained model's by this
            share of it; at least 0. Rule of thumb, not tuned.
        flat_slope_share: D over the loss where no trial has a slope, above 0. Rule of thumb, not
            tuned.
    """

    levels_per_curve: int = 10
    max_trials: int = 32
    max_comparisons: int = 800
    usual_exponent: float = 0.5
    min_exponent: float = 0.05
    max_exponent: float = 1.5
    min_slope_power: float = 1.0
    max_slope_power: float = 6.0
    min_slope_share: float = 0.12
    max_flattening: float = 2.0
    unknown_slope_share: float = 0.6
    broken_rise_share: float = 0.05
    flat_slope_share: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse no levels, and slopes and exponents that may be 0.

        Raises:
            ValueError: A value is out of its range.
        """
        if self.levels_per_curve < 2 or not 1 <= self.max_trials <= self.max_comparisons:
            raise ValueError("levels_per_curve must be at least 2, 1 <= max_trials <= comparisons")
        if not 0 < self.min_exponent <= self.usual_exponent <= self.max_exponent:
            raise ValueError("exponents must be above 0, the usual one between the others")
        if not 0 <= self.min_slope_power <= self.max_slope_power:
            raise ValueError("slope powers must be at least 0 and rise")
        if not (0 < self.min_slope_share <= 1 <= self.max_flattening):
            raise ValueError("min_slope_share must be above 0, max_flattening at least 1")
        if not min(self.unknown_slope_share, self.flat_slope_share) > 0:
            raise ValueError("shares of slopes must be above 0")
        if not self.broken_rise_share >= 0:
            raise ValueError("broken_rise_share must be at least 0")
