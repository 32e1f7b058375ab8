"""Hyperparameters that belong to a batch size, a peak rate and a horizon.

    symbol  meaning                                                            unit
    B, η, D batch size, peak rate and horizon; with 0 those of the recipe      samples, –, samples
    λ       AdamW's weight decay                                               –
    τ       time scale of AdamW's average over weights, B/(ηλD), as a share    –
            of the training
    β₂      coefficient of Adam's running mean of squares                      –
    T       optimizer steps, D/B                                               steps

τ is what a recipe's weight decay means whatever its batch and rate (Wang & Aitchison, arXiv
2405.13698), and the best τ falls as D to the power −0.53 for one model (Bergsma et al., arXiv
2505.13738): λ = λ₀·(B/B₀)·(η₀/η)·(D/D₀)^(−1 − m), where m is that exponent. β₂ keeps its half-life
in samples (Marek et al., arXiv 2507.07101), within limits: a mean over very few steps does not
bound Adam's steps, and one over very many is not there yet when training ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bsadvise.model.measurements import LogEstimate

from advisor.estimators.horizon_schedule import Schedule
from advisor.estimators.horizon_tuning import HorizonTuning
from advisor.estimators.hyperparameter_rules import adam_warmup_steps, scale_beta


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonRecipe:
    """A training whose hyperparameters were chosen for its own horizon.

    Attributes:
        batch_size: Above 0, samples.
        learning_rate: Peak rate, above 0.
        samples: Horizon, above 0.
        weight_decay: λ₀ of decoupled weight decay, at least 0; 0 or ``None`` without any.
        beta2: β₂ at ``batch_size``, from 0 to below 1; ``None`` for SGD.
    """

    batch_size: float
    learning_rate: float
    samples: float
    weight_decay: float | None = None
    beta2: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonCompanions:
    """One value of each hyperparameter for a setting and its horizon.

    Attributes:
        total_steps: T, at least 1.
        warmup_steps: Of T, at the beginning.
        decay_steps: Of T, at the end.
        weight_decay: λ; ``None`` without any in the recipe.
        time_scale: τ, a share of the training; ``None`` without weight decay.
        beta2: β₂; ``None`` as in the recipe.
    """

    total_steps: int
    warmup_steps: int
    decay_steps: int
    weight_decay: LogEstimate | None
    time_scale: LogEstimate | None
    beta2: float | None


def companions_for(
    recipe: HorizonRecipe,
    batch_size: float,
    learning_rate: float,
    samples: float,
    schedule: Schedule,
    *,
    tuning: HorizonTuning = HorizonTuning(),
) -> HorizonCompanions:
    """Return the hyperparameters of a setting for its horizon.

    Args:
        recipe: Where they are known.
        batch_size: B, above 0.
        learning_rate: Peak η, above 0.
        samples: D, at least B.
        schedule: Warm-up and decay; a warm-up of 0 leaves its length to the rule of Adam.
        tuning: Exponent, limits and deviations.
    """
    total_steps = max(1, math.floor(samples / batch_size))
    beta2 = recipe.beta2
    if beta2 is not None:
        low, high = tuning.beta2_limits
        scaled = scale_beta(beta2, batch_size / recipe.batch_size)
        beta2 = min(max(scaled, min(low, beta2)), max(high, beta2))
    if schedule.warmup_share or beta2 is None:
        warmup_steps = round(schedule.warmup_share * total_steps)
    else:
        longest = math.floor(tuning.max_warmup_share * total_steps)
        warmup_steps = min(adam_warmup_steps(beta2), longest)
    decay_steps = min(round(schedule.decay_share * total_steps), total_steps - warmup_steps)
    weight_decay, time_scale = _weight_decay(recipe, batch_size, learning_rate, samples, tuning)
    return HorizonCompanions(
        total_steps=total_steps,
        warmup_steps=warmup_steps,
        decay_steps=decay_steps,
        weight_decay=weight_decay,
        time_scale=time_scale,
        beta2=beta2,
    )


def _weight_decay(
    recipe: HorizonRecipe,
    batch_size: float,
    learning_rate: float,
    samples: float,
    tuning: HorizonTuning,
) -> tuple[LogEstimate | None, LogEstimate | None]:
    """Return λ and τ."""
    if not recipe.weight_decay:
        return None, None
    exponent, far = tuning.time_scale_exponent, math.log(samples / recipe.samples)
    before = recipe.batch_size / (recipe.learning_rate * recipe.weight_decay * recipe.samples)
    time_scale = before * math.exp(exponent.mean * far)
    deviation = math.hypot(tuning.hyperparameter_log_deviation, exponent.deviation * far)
    weight_decay = batch_size / (learning_rate * time_scale * samples)
    return (
        LogEstimate(median=weight_decay, log_deviation=deviation),
        LogEstimate(median=time_scale, log_deviation=deviation),
    )
