"""Tuned numbers of the horizon law and of the answers that are read off it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalPrior:
    """A normal distribution of a number, or of the logarithm of a factor.

    Attributes:
        mean: Its mean.
        deviation: Its standard deviation, above 0.
    """

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        """Refuse a prior without a width.

        Raises:
            ValueError: The deviation is not above 0.
        """
        if not self.deviation > 0:
            raise ValueError("deviation must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyPriors:
    """What differs between kinds of optimizer.

    Attributes:
        slope: q. The rules are 0.5 for Adam (arXiv 2205.10287) and 1 for SGD (1706.02677). AdamW
            had 0.55 to 0.65 on the tables that are named as tuned on; SGD is between the rule and
            the 0.75 of one small model that is not kept.
        log_knee: δ. On the same tables the rate of AdamW hardly follows the batch beyond the best
            one, that of SGD does.
        log_small_batch_curvature: ln a₋. On the same tables 0.08 to 0.18 for AdamW, with the other
            hyperparameters held fixed; little for SGD.
    """

    slope: NormalPrior
    log_knee: NormalPrior
    log_small_batch_curvature: NormalPrior


ADAPTIVE = FamilyPriors(
    slope=NormalPrior(mean=0.58, deviation=0.08),
    log_knee=NormalPrior(mean=0.2, deviation=0.4),
    log_small_batch_curvature=NormalPrior(mean=-2.1, deviation=0.5),
)
SGD = FamilyPriors(
    slope=NormalPrior(mean=0.85, deviation=0.15),
    log_knee=NormalPrior(mean=1.5, deviation=1.0),
    log_small_batch_curvature=NormalPrior(mean=-3.0, deviation=0.8),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonTuning:
    """Priors and tolerances of ``fit_horizon_law``, limits of ``advise_for_horizon`` and rules.

    Symbols are those of ``horizon_law``. ``python -m benchmarks.horizon`` prints what they lead to,
    and says which tables they were chosen on. Costs are in ln data: 0.1 is worth 10 % more samples.

    Attributes:
        batch_exponent: p. Language models had 0.38 and 0.46 (arXiv 2505.13738), 0.57 (2503.04715)
            and 0.61 (the steps of 2410.21676 over samples), a convolutional network about 0.8
            (AdaptDL's traces): their mean and deviation. On ``letters`` it was 0.7.
        rate_exponent: r of a schedule that decays to 0. −0.32 of arXiv 2409.19913, −0.01 by the
            0.31 of 2503.04715, which is r + pq, and −0.08 on ``letters``: their mean. The deviation
            was chosen on ``letters``: rungs of few steps mislead about r.
        adaptive: Of optimizers of Adam's family.
        sgd: Of SGD.
        log_rate_curvature: ln κ. κ was 0.1 to 0.3 on the tables that are named as tuned on.
        log_large_batch_curvature: ln a₊. a₊ was 0.15 to 0.28 on the same.
        log_loss_slope_deviation: Of the logarithm of s, where the ladder has two horizons and s is
            taken from their best losses. Rule of thumb, not tuned.
        loss_slope_share: s over the loss where the ladder has one horizon. Of ten grids of language
            models it was 0.025 to 0.08. It matters only beside the priors of the curvatures.
        loss_slope_share_log_deviation: Of the logarithm of s then. Rule of thumb, not tuned.
        misfit: Deviation of a loss from the law, in ln data; above 0. 0.06 and 0.1 were no better
            on the tables that are named as tuned on.
        relative_misfit: The same per unit of cost, so that a setting far from the best counts for
            little; at least 0. Nor was 0.4.
        broken_cost: Cost at least of a setting whose loss is not finite; above 0. Rule of thumb,
            not tuned.
        schedule_exponent: x, of the convex bound's factor between two schedules' best peak rates:
            they differ by its power x. Theory has 1; on ``letters`` a cosine over a trapezoid had
            0.97, with deviations of 0.14 in ln η.
        last_rate_exponent: y, by which r is lower with a constant rate than with one that decays to
            0, and in proportion to the last rate in between: what noise leaves at the end must
            become smaller as losses do. 0.2 on ``letters``; at least 0.
        last_rate_steps: Steps of a training from which on that adds to the bound's factor, above 0.
            850 on ``letters``.
        high_carried: Most that the longest rung is carried for high confidence, above 1: the
            exponents' error grows with its logarithm. Rule of thumb, not tuned.
        medium_carried: The same for medium confidence, at least ``high_carried``.
        law_log_deviation: Of ln B* and of ln η* of a table's best setting from the law itself,
            above 0. With 0.4, 80 % intervals hold for 57 to 92 % of the tables that are named as
            tuned on, without it for 33 to 63 %.
        high_log_deviation: Most deviation of ln B* and ln η* for high confidence, above 0: a factor
            of 1.7. Rule of thumb, not tuned.
        medium_log_deviation: The same for medium confidence: a factor of 2.7.
    """

    batch_exponent: NormalPrior = NormalPrior(mean=0.56, deviation=0.14)
    rate_exponent: NormalPrior = NormalPrior(mean=-0.15, deviation=0.08)
    adaptive: FamilyPriors = ADAPTIVE
    sgd: FamilyPriors = SGD
    log_rate_curvature: NormalPrior = NormalPrior(mean=-1.75, deviation=0.4)
    log_large_batch_curvature: NormalPrior = NormalPrior(mean=-1.6, deviation=0.4)
    schedule_exponent: NormalPrior = NormalPrior(mean=1.0, deviation=0.2)
    last_rate_exponent: float = 0.2
    last_rate_steps: float = 1000.0
    log_loss_slope_deviation: float = 0.3
    loss_slope_share: float = 0.04
    loss_slope_share_log_deviation: float = 1.0
    misfit: float = 0.03
    relative_misfit: float = 0.25
    broken_cost: float = 2.0
    high_carried: float = 16.0
    medium_carried: float = 256.0
    law_log_deviation: float = 0.4
    high_log_deviation: float = 0.55
    medium_log_deviation: float = 1.0

    def __post_init__(self) -> None:
        """Refuse limits that are none.

        Raises:
            ValueError: A value is out of its range.
        """
        positive = (
            *(self.log_loss_slope_deviation, self.loss_slope_share, self.misfit, self.broken_cost),
            self.loss_slope_share_log_deviation,
            self.last_rate_steps,
            self.law_log_deviation,
            *(self.high_log_deviation, self.medium_log_deviation),
        )
        if not all(value > 0 for value in positive):
            raise ValueError("deviations, shares and limits must be above 0")
        if min(self.relative_misfit, self.last_rate_exponent) < 0:
            raise ValueError("relative_misfit and last_rate_exponent must be at least 0")
        if not 1 < self.high_carried <= self.medium_carried:
            raise ValueError("high_carried must be above 1 and at most medium_carried")
