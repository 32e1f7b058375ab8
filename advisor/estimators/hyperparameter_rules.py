"""Hyperparameters that published rules change along with the batch size.

    symbol  meaning                                                                  unit
    κ       batch ratio B/B₀                                                         –
    η, η₀   learning rate at B and at B₀                                             –
    λ       AdamW's weight decay                                                     –
    β       coefficient of one of Adam's running means; half-life ln ½/ln β steps    –
    ε       term of Adam's denominator that keeps it above 0                         –
    m       SGD's momentum                                                           –
    N       size of the training set                                                 samples

Each rule keeps a property of the reference recipe as it is, counted in samples rather than steps:

    λ    the time scale of AdamW's average over weights, B/(ηλN) epochs, so that λ = κ·(η₀/η)·λ₀
         (Wang & Aitchison, arXiv 2405.13698)
    β    the half-life of the running mean, B·ln ½/ln β samples, so that β' = β^κ (Marek et al.,
         arXiv 2507.07101). For small κ(1 − β) that is 1 − κ(1 − β), the rule of Malladi et al.
         (arXiv 2205.10287), but it stays a running mean where that one would pass 0.
    ε    its ratio to √v, which falls like 1/√B where noise prevails: ε/√κ (Malladi et al.)
    m    the noise of the steps, ηN/(B(1 − m)) (Smith et al., arXiv 1711.00489)

Warm-up: five epochs for SGD at a rate above the reference's (Goyal et al., arXiv 1706.02677);
2/(1 − β₂) steps for Adam (Ma & Yarats, arXiv 1910.04209).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperparameterRulesTuning:
    """Numbers of the rules that are no part of their formulas.

    Attributes:
        max_momentum: The most that m is raised to, from 0 to below 1: an average over a hundred
            steps. Rule of thumb, not tuned.
        sgd_warmup_epochs: Epochs of SGD's warm-up, at least 0: those of Goyal et al.
        equal_rate_factor: Factor, at least 1, within which two rates count as equal, as advised
            ones are rounded. Rule of thumb, not tuned.
    """

    max_momentum: float = 0.99
    sgd_warmup_epochs: int = 5
    equal_rate_factor: float = 1.05

    def __post_init__(self) -> None:
        """Refuse a momentum that never forgets.

        Raises:
            ValueError: ``max_momentum`` is out of range.
        """
        if not 0 <= self.max_momentum < 1:
            raise ValueError("max_momentum must be from 0 to below 1")


def scale_weight_decay(weight_decay: float, ratio: float, rate_ratio: float) -> float:
    """Return λ at κB₀.

    Args:
        weight_decay: λ₀, at least 0.
        ratio: κ, above 0.
        rate_ratio: η/η₀, above 0.
    """
    return weight_decay * ratio / rate_ratio


def scale_beta(beta: float, ratio: float) -> float:
    """Return β at κB₀.

    Args:
        beta: β at B₀, from 0 to below 1.
        ratio: κ, above 0.
    """
    return math.pow(beta, ratio)


def scale_epsilon(epsilon: float, ratio: float) -> float:
    """Return ε at κB₀.

    Args:
        epsilon: ε at B₀, at least 0.
        ratio: κ, above 0.
    """
    return epsilon / math.sqrt(ratio)


def scale_momentum(
    momentum: float,
    ratio: float,
    rate_ratio: float,
    *,
    tuning: HyperparameterRulesTuning = HyperparameterRulesTuning(),
) -> float:
    """Return m at κB₀, from 0 to ``max_momentum``, or what it was where that is more.

    Args:
        momentum: m at B₀, from 0 to below 1.
        ratio: κ, above 0.
        rate_ratio: η/η₀, above 0.
        tuning: The most that m is raised to.
    """
    scaled = 1 - (1 - momentum) * rate_ratio / ratio
    return min(max(scaled, 0.0), max(momentum, tuning.max_momentum))


def sgd_warmup_steps(
    rate_ratio: float,
    steps_per_epoch: int,
    *,
    tuning: HyperparameterRulesTuning = HyperparameterRulesTuning(),
) -> int:
    """Return the steps over which to raise SGD's rate from η₀ to η; 0 where η is no larger.

    Args:
        rate_ratio: η/η₀, above 0.
        steps_per_epoch: Optimizer steps an epoch, at least 1.
        tuning: How many epochs, and which rates count as larger.
    """
    if rate_ratio <= tuning.equal_rate_factor:
        return 0
    return tuning.sgd_warmup_epochs * steps_per_epoch


def adam_warmup_steps(beta2: float) -> int:
    """Return the steps over which to raise Adam's rate from 0.

    Args:
        beta2: β₂, from 0 to below 1.
    """
    return round(2 / (1 - beta2))
