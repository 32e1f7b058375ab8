"""How the learning rate changes when the batch does.

    symbol  meaning                        unit
    B, B₀   batch size; the reference's    samples
    κ       batch ratio B/B₀               –
    η, η₀   learning rate at B and at B₀   –
    𝓑       gradient noise scale           samples

While B is far below 𝓑, SGD: η = κη₀ (Goyal et al., arXiv 1706.02677); Adam and the like: η = √κ·η₀
(Malladi et al., arXiv 2205.10287).

Past it, SGD saturates: η(B) = η_max/(1 + 𝓑/B) (McCandlish et al., arXiv 1812.06162). Adam's
rate rises to its peak at 𝓑 and falls beyond: η(B) = 2η_peak/(√(𝓑/B) + √(B/𝓑)) (Li et al., arXiv
2405.14578). Divided by the same at B₀, the unknown η_max and η_peak drop out, and both become the
rule above times (𝓑 + B₀)/(𝓑 + B), which is the efficiency of B.
"""

from __future__ import annotations

import math

from bsadvise.model.task import OptimizerFamily

from advisor.estimators.efficiency import relative_efficiency


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


def scale_learning_rate_past_noise(
    family: OptimizerFamily,
    learning_rate: float,
    reference: float,
    batch_size: float,
    noise_scale: float,
) -> float:
    """Return η at B by the form that also holds where B is not far below the noise scale.

    Args:
        family: Kind of optimizer; anything but SGD is taken to be like Adam.
        learning_rate: η₀, above 0.
        reference: B₀, above 0.
        batch_size: B, above 0.
        noise_scale: 𝓑, at least 0.
    """
    scaled = scale_learning_rate(family, learning_rate, batch_size / reference)
    return scaled * relative_efficiency(batch_size, reference, noise_scale)


def describe_rule_past_noise(family: OptimizerFamily) -> str:
    """Return the form past the noise scale in words, with its source."""
    if family is OptimizerFamily.SGD:
        return "levels off past the noise scale (SGD, arXiv 1812.06162)"
    return "rises to the noise scale and falls beyond it (Adam, arXiv 2405.14578)"


def describe_rule(family: OptimizerFamily) -> str:
    """Return the learning-rate rule in words, with its source."""
    if family is OptimizerFamily.SGD:
        return "linear in the batch (SGD, arXiv 1706.02677)"
    if family is OptimizerFamily.ADAM:
        return "square root of the batch (Adam, arXiv 2205.10287)"
    return "square root of the batch (as for Adam; the optimizer is not one we know)"
