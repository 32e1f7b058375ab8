"""What the loss of a batch is of the losses of its samples, from a few measured losses.

    symbol        meaning
    A, B, C       three parts of equally many samples
    f(S)          loss of the batch of the samples in S
    w_A, w_B, …   what the samples of a part weigh together, above 0

A mean has f(A∪B) = (f(A) + f(B))/2, and so on for the other unions. A sum has
f(A∪B) = f(A) + f(B) − c, with one c for each part beyond the first: what a penalty on the weights
adds to every batch. A weighted mean has f(A∪B) = (w_A·f(A) + w_B·f(B))/(w_A + w_B): two of its
unions give the weights, by which the other two are checked. What is none of these, and not even
near the mean, couples the samples: the cross-entropy of n pairs against each other, say, grows with
log n.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bsadvise.model.task import BatchSemantics

PAIRS = ((0, 1), (1, 2), (2, 0))
"""The unions of two parts, by the parts' numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLosses:
    """Losses of three parts and of their unions.

    Attributes:
        parts: f(A), f(B) and f(C).
        pairs: f of the unions of two parts, in the order of ``PAIRS``.
        whole: f(A∪B∪C).
        error: Standard error of each, at least 0; 0 where a loss is the same each time.
    """

    parts: tuple[float, float, float]
    pairs: tuple[float, float, float]
    whole: float
    error: float = 0.0

    @property
    def scale(self) -> float:
        """The largest magnitude among them; infinite where one is not finite."""
        every = (*self.parts, *self.pairs, self.whole)
        return max(map(abs, every)) if all(map(math.isfinite, every)) else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """When losses agree.

    Attributes:
        rounding: Share of the largest loss, above 0, by which float32 may be off. A sum of
            thousands of terms in another order is off by 1e-6 to 1e-5; a deviation of 1e-4 changes
            no comparison of trials, whose seeds differ by more than 1e-2.
        errors: Standard errors, above 0, within which random losses agree: beyond 4 of them one
            comparison in ten thousand would fall by chance.
        combined: Factor, at least 1, on either for what is made of several losses: a weight has the
            errors of three, and what it predicts those of two weights.
        near: Share of the largest loss, above ``rounding`` and below 1, within which a loss counts
            as near the mean, whatever makes it deviate. In-batch negatives deviate by log 2/log n,
            a tenth and more; a target that is broadcast by 3e-3 and more.
    """

    rounding: float = 1e-4
    errors: float = 4.0
    combined: float = 4.0
    near: float = 1e-3


DEFAULT_TOLERANCES = Tolerances()


def classify(
    losses: BatchLosses, tolerances: Tolerances = DEFAULT_TOLERANCES
) -> BatchSemantics | None:
    """Return what the loss of a batch is; None where the losses do not tell.

    Batch normalisation is not told apart here: evaluation does not show it.

    Args:
        losses: What was measured.
        tolerances: When losses agree.
    """
    scale = losses.scale
    if not math.isfinite(scale) or scale == 0:
        return None
    margin = max(tolerances.rounding * scale, tolerances.errors * losses.error)
    deviation = max(abs(found - mean) for found, mean in _beside_means(losses))
    if deviation <= margin:
        return BatchSemantics.MEAN
    most = tolerances.combined * margin
    if deviation > tolerances.near * scale and _sum_deviation(losses) <= most:
        return BatchSemantics.SUM
    if _weighted_deviation(losses) <= most or deviation <= tolerances.near * scale:
        return BatchSemantics.WEIGHTED_MEAN
    return BatchSemantics.COUPLED


def is_mean_of_halves(
    whole: float, halves: Sequence[float], tolerances: Tolerances = DEFAULT_TOLERANCES
) -> bool:
    """Return whether the loss of a batch is the mean of its halves' losses.

    Args:
        whole: f(A∪B).
        halves: f(A) and f(B).
        tolerances: When losses agree.
    """
    scale = max(map(abs, (whole, *halves)))
    return abs(whole - sum(halves) / 2) <= tolerances.rounding * scale


def is_same(one: float, other: float, tolerances: Tolerances = DEFAULT_TOLERANCES) -> bool:
    """Return whether a loss came out the same twice, as far as float32 goes."""
    return math.isclose(one, other, rel_tol=tolerances.rounding / 10)


def _beside_means(losses: BatchLosses) -> Iterator[tuple[float, float]]:
    """Yield the loss of each union, and the mean of its parts'."""
    for (i, j), found in zip(PAIRS, losses.pairs, strict=True):
        yield found, (losses.parts[i] + losses.parts[j]) / 2
    yield losses.whole, sum(losses.parts) / 3


def _sum_deviation(losses: BatchLosses) -> float:
    """Return by how much the unions differ from one sum, with one constant for all."""
    parts = losses.parts
    constants = [
        parts[i] + parts[j] - found for (i, j), found in zip(PAIRS, losses.pairs, strict=True)
    ]
    constants.append((sum(parts) - losses.whole) / 2)
    return max(constants) - min(constants)


def _weighted_deviation(losses: BatchLosses) -> float:
    """Return by how much two unions differ from what the weights of the other two predict.

    The weights come from the two pairs whose parts differ most; of three parts, the second
    difference is at least half the first. Infinite where a weight would not be above 0.
    """
    parts = losses.parts
    order = sorted(
        range(3), key=lambda k: abs(parts[PAIRS[k][1]] - parts[PAIRS[k][0]]), reverse=True
    )
    ratios = [_weight_ratio(losses, k) for k in order[:2]]
    weights: list[float | None] = [None, None, None]
    (shared,) = set(PAIRS[order[0]]) & set(PAIRS[order[1]])
    weights[shared] = 1.0
    for k, ratio in zip(order[:2], ratios, strict=True):
        if ratio is None:
            return math.inf
        first, second = PAIRS[k]
        if first == shared:
            weights[second] = ratio
        else:
            weights[first] = 1 / ratio
    known = [weight or 0.0 for weight in weights]
    third = PAIRS[order[2]]
    return max(
        abs(_weighted(parts, known, third) - losses.pairs[order[2]]),
        abs(_weighted(parts, known, (0, 1, 2)) - losses.whole),
    )


def _weight_ratio(losses: BatchLosses, pair: int) -> float | None:
    """Return w of a pair's second part over w of its first; None where it is not above 0."""
    first, second = (losses.parts[k] for k in PAIRS[pair])
    found = losses.pairs[pair]
    if not min(first, second) < found < max(first, second):
        return None
    return (found - first) / (second - found)


def _weighted(parts: tuple[float, ...], weights: list[float], members: tuple[int, ...]) -> float:
    total = sum(weights[k] for k in members)
    return sum(weights[k] * parts[k] for k in members) / total
