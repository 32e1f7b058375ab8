"""Whether batches in the stored order are like batches drawn at random.

    symbol  meaning                                                                  unit
    b       batch size                                                               samples
    N       batches of one order, N·b samples in all                                 –
    gᵢ, ḡ   gradient of batch i; mean gradient of the N batches                      –
    V       between-batch variance of the gradient, Σ‖gᵢ − ḡ‖²/(N − 1),              –
            from mean ‖gᵢ‖² and ‖ḡ‖²
    R       shuffled orders of the same N·b samples                                  –
    D       V of the stored order over the mean V of the shuffled ones:              –
            the design effect
    ρ       intraclass correlation: the share of the gradient's variance that        –
            samples of one stored batch have in common, (D − 1)/(b − 1)

A batch whose samples are alike is less informative than its size suggests: D = 1 + (b − 1)ρ (Kish,
Survey Sampling, 1965, chapter 5), so that b stored neighbours are worth b/D samples drawn at
random.

Were the stored order a random one, it would be one more shuffle of the same samples, and D would
be spread as F with N − 1 and R(N − 1) degrees of freedom at most: as if gradients had a single
direction. With more of them, D stays nearer to 1, so that false alarms are rarer than stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

_ROUNDING_SHARE = 1e-4
"""V over ‖ḡ‖² below which V, a difference of two squared norms, may be rounding: norms are sums of
many single-precision terms, of relative error 1.2e-7 each."""

Norms = tuple[float, float]
"""Of the N batches of one order: the mean of ‖gᵢ‖², and ‖ḡ‖²."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOrderTuning:
    """Tuned numbers of ``OrderEffect``.

    Attributes:
        false_alarm_rate: Probability, above 0 and below 1, with which at most a shuffled data set
            is taken for an unrepresentative one. Chosen, not tuned: one false warning in a thousand
            recommendations. tests/estimators/test_data_order.py holds six kinds of data to it.
    """

    false_alarm_rate: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse what is no probability.

        Raises:
            ValueError: ``false_alarm_rate`` is out of range.
        """
        if not 0 < self.false_alarm_rate < 1:
            raise ValueError("false_alarm_rate must be above 0 and below 1")


@dataclass(frozen=True, slots=True)
class OrderEffect:
    """How batches in the stored order differ from batches drawn at random.

    Attributes:
        batch_size: b, samples.
        design_effect: D; about 1 for a shuffled data set.
        p_value: Probability, at most, of a D so large in a shuffled data set.
        tuning: From which probability on an order is unrepresentative.
    """

    batch_size: int
    design_effect: float
    p_value: float
    tuning: DataOrderTuning = DataOrderTuning()

    @property
    def is_unrepresentative(self) -> bool:
        """Whether batches are more alike within, and more unlike each other, than by chance."""
        return self.p_value < self.tuning.false_alarm_rate

    def worth(self, batch_size: int) -> float:
        """Return the number of random samples as informative as ``batch_size`` neighbours."""
        shared = max(0.0, self.design_effect - 1) / (self.batch_size - 1)
        return batch_size / (1 + (batch_size - 1) * shared)


def estimate_order_effect(
    batch_size: int,
    batch_count: int,
    stored: Norms,
    shuffled: Sequence[Norms],
    *,
    tuning: DataOrderTuning = DataOrderTuning(),
) -> OrderEffect | None:
    """Return the effect of the stored order.

    Args:
        batch_size: b, at least 2.
        batch_count: N, at least 3.
        stored: Of the stored order.
        shuffled: Of each shuffled order of the same samples, at least one.
        tuning: From which probability on an order is unrepresentative.

    Returns:
        None where batches are so alike that their differences are lost in rounding.
    """
    variance = fmean(_variance(one, batch_count) for one in shuffled)
    if variance <= _ROUNDING_SHARE * fmean(squared_mean for _, squared_mean in shuffled):
        return None
    effect = _variance(stored, batch_count) / variance
    freedom = batch_count - 1
    p_value = _upper_tail_of_f(effect, freedom, len(shuffled) * freedom)
    return OrderEffect(batch_size, effect, p_value, tuning)


def _variance(norms: Norms, batch_count: int) -> float:
    mean_square, squared_mean = norms
    return max(0.0, mean_square - squared_mean) * batch_count / (batch_count - 1)


def _upper_tail_of_f(ratio: float, above: int, below: int) -> float:
    """Return the probability that F exceeds ``ratio``, by Paulson's normal approximation.

    Far out it is larger than the true one, by 3 % at 1e-3 with 15 degrees above and by 8 % with 7,
    which errs towards no alarm (Annals of Mathematical Statistics 13, 1942).
    """
    root = ratio ** (1 / 3)
    a, b = 2 / (9 * above), 2 / (9 * below)
    score = ((1 - b) * root - (1 - a)) / (a + b * root * root) ** 0.5
    return NormalDist().cdf(-score)
