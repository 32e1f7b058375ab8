"""Where to clip gradients, from the norms that they had.

    symbol  meaning                                        unit
    B       effective batch size                           samples
    ‖G_B‖   norm of the gradient of a step of batch B      –
    𝓑       gradient noise scale tr(Σ)/‖G‖²                samples

The mean square of ‖G_B‖ is ‖G‖² + tr(Σ)/B, so that it falls with B like √(1 + 𝓑/B) (McCandlish et
al., arXiv 1812.06162, appendix A).

A threshold taken from the norms of many steps serves, and training is not sensitive to it
(Pascanu et al., arXiv 1211.5063). At the 90th percentile one step in ten is shortened: the outliers
are, and the usual step is not. It is at most ten times the mean norm, the upper end of what they
found to work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from advisor.estimators.efficiency import relative_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientClippingTuning:
    """Tuned numbers of ``norm_statistics``.

    Attributes:
        min_norms: Steps, at least 1, below which nothing is returned. Not tuned: the 90th
            percentile of fewer than ten norms is their maximum.
    """

    min_norms: int = 10

    def __post_init__(self) -> None:
        """Refuse a percentile of nothing.

        Raises:
            ValueError: ``min_norms`` is below 1.
        """
        if self.min_norms < 1:
            raise ValueError("min_norms must be at least 1")


@dataclass(frozen=True, slots=True)
class NormStatistics:
    """Percentiles of the gradient norms of many steps.

    Attributes:
        median: Half of them were smaller.
        percentile_90: Nine in ten of them were no larger.
    """

    median: float
    percentile_90: float


def norm_statistics(
    norms: Sequence[float], *, tuning: GradientClippingTuning = GradientClippingTuning()
) -> NormStatistics | None:
    """Return the statistics of ‖G_B‖ over steps; None where they are too few.

    Args:
        norms: One for each step; what is not finite is left out.
        tuning: How many are enough.
    """
    ordered = sorted(filter(math.isfinite, norms))
    if len(ordered) < tuning.min_norms:
        return None
    # Norms that were seen, none between them: then no more than one in ten is above the 90th.
    return NormStatistics(_percentile(ordered, 50), _percentile(ordered, 90))


def carry_norm(norm: float, from_size: int, to_size: int, noise_scale: float) -> float:
    """Return the norm that stands for ``norm`` among steps of another batch.

    Args:
        norm: Of the steps that were measured, at least 0.
        from_size: Their batch, at least 1.
        to_size: B, at least 1.
        noise_scale: 𝓑, samples, at least 0.
    """
    ratio = relative_steps(to_size, noise_scale) / relative_steps(from_size, noise_scale)
    return norm * math.sqrt(ratio)


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[math.ceil(percent * len(ordered) / 100) - 1]
