"""How the learning rate changes when the batch does.

    κ        batch ratio B/B₀
    η, η₀    learning rate at B and at B₀

SGD: η = κη₀ (Goyal et al., arXiv 1706.02677). Adam and its kin: η = √κ·η₀ (Malladi et al.,
arXiv 2205.10287).
"""

from __future__ import annotations

import math

from advisor.domain.task import OptimizerFamily


def scale_learning_rate(family: OptimizerFamily, learning_rate: float, ratio: float) -> float:
    """Return η at κB₀.

    Args:
        family: Kind of optimizer; anything but SGD scales with the root.
        learning_rate: η₀, above 0.
        ratio: κ, above 0.
    """
    if family is OptimizerFamily.SGD:
        return learning_rate * ratio
    return learning_rate * math.sqrt(ratio)


def describe_rule(family: OptimizerFamily) -> str:
    """Return the learning-rate rule in words, with its source."""
    if family is OptimizerFamily.SGD:
        return "linear in the batch (SGD, arXiv 1706.02677)"
    if family is OptimizerFamily.ADAM:
        return "square root of the batch (Adam, arXiv 2205.10287)"
    return "square root of the batch (as for Adam; the optimizer is not one we know)"
