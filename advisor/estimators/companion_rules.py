"""What goes with the learning rate when the batch changes.

    κ        batch ratio B/B₀
    η, η₀    learning rate at B and at B₀
    λ        AdamW's weight decay
    β        coefficient of one of Adam's running means; its half-life is ln ½/ln β steps
    ε        Adam's guard against division by zero
    m        SGD's momentum
    N        samples of the training set

Each rule keeps something of the reference recipe as it is, counted in samples rather than steps:

    λ    the time scale of AdamW's average over weights, B/(ηλN) epochs, so that λ = κ·(η₀/η)·λ₀
         (Wang & Aitchison, arXiv 2405.13698)
    β    the half-life of the running mean, B·ln ½/ln β samples, so that β' = β^κ (Marek et al.,
         arXiv 2507.07101). For small κ(1 − β) that is 1 − κ(1 − β), the rule of Malladi et al.
         (arXiv 2205.10287), but it stays a running mean where that one would pass 0.
    ε    its weight beside √v, which falls like 1/√B where noise prevails: ε/√κ (Malladi et al.)
    m    the noise of the steps, ηN/(B(1 − m)) (Smith et al., arXiv 1711.00489)

Warm-up: five epochs for SGD at a rate above the reference's (Goyal et al., arXiv 1706.02677);
2/(1 − β₂) steps for Adam (Ma & Yarats, arXiv 1910.04209).
"""

from __future__ import annotations

import math

_MOST_MOMENTUM = 0.99
"""A longer memory than a hundred steps takes too long to turn when the gradient does."""

_SGD_WARMUP_EPOCHS = 5
_SAME_RATE = 1.05
"""Rates within this factor are the same: what is advised is rounded."""


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


def scale_momentum(momentum: float, ratio: float, rate_ratio: float) -> float:
    """Return m at κB₀, from 0 to 0.99, or what it was where that is more.

    Args:
        momentum: m at B₀, from 0 to below 1.
        ratio: κ, above 0.
        rate_ratio: η/η₀, above 0.
    """
    scaled = 1 - (1 - momentum) * rate_ratio / ratio
    return min(max(scaled, 0.0), max(momentum, _MOST_MOMENTUM))


def sgd_warmup_steps(rate_ratio: float, steps_per_epoch: int) -> int:
    """Return the steps over which to raise SGD's rate from η₀ to η; 0 where η is no larger.

    Args:
        rate_ratio: η/η₀, above 0.
        steps_per_epoch: Optimizer steps an epoch, at least 1.
    """
    return _SGD_WARMUP_EPOCHS * steps_per_epoch if rate_ratio > _SAME_RATE else 0


def adam_warmup_steps(beta2: float) -> int:
    """Return the steps over which to raise Adam's rate from 0.

    Args:
        beta2: β₂, from 0 to below 1.
    """
    return round(2 / (1 - beta2))
