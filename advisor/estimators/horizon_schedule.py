"""Learning-rate schedules as values, and the peak rate that one wants relative to another.

    symbol  meaning                                                          unit
    T       optimizer steps of the training                                  steps
    x       progress, the share of the steps that are done, 0 to 1           –
    m(x)    rate over the peak rate, 0 to 1                                  –
    γ       peak rate                                                        –
    S, Q    sums of m and of m² over the steps                               steps
    R_k     sum of m over step k and those after it; Q_k that of m²          steps
    D, G    distance of the weights from a minimum; norm of the gradients    –

For a convex loss the last weights of a training are above the minimum by at most

    D²/(2γS) + (γG²/2)·(Q/S + Σ_k m_k/R_{k+1}·Q_k/R_k),    k = 1 … T − 1

(Defazio et al., arXiv 2310.07831, Theorem 10; Schaipp et al., arXiv 2501.18965). The γ of the least
bound is D/G times a number that depends on the schedule alone: the ratio of two of these needs
neither D nor G.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

import numpy as np
from bsadvise.model import horizon
from bsadvise.model.horizon import LearningRateSchedule, ScheduleShape

from advisor.estimators.scaling_law import Array

_STEPS = 4096
"""Steps that a schedule is evaluated at: with four times as many the ratio of a constant rate's
bound to others is 6 % lower, and that of a decay to 0 the same.
"""


class Decay(StrEnum):
    """How the rate falls from the peak to its final share."""

    LINEAR = "linear"
    COSINE = "cosine"
    ROOT = "root"
    """By one minus the square root of the decay's progress (Hägele et al., arXiv 2405.18392)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Warm-up, a constant rate, and decay; a constant rate is that without the others.

    Attributes:
        warmup_share: Of the steps, over which the rate rises linearly from 0; 0 to below 1.
        decay_share: Of the steps, at the end, over which the rate falls, 0 to 1. What warm-up
            takes comes off it: a cosine is a decay of all steps after warm-up.
        decay: Form of the fall.
        final_share: Last rate over the peak rate, 0 to 1.
    """

    warmup_share: float = 0.0
    decay_share: float = 0.0
    decay: Decay = Decay.LINEAR
    final_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares that are none.

        Raises:
            ValueError: A share is out of its range.
        """
        if not 0 <= self.warmup_share < 1:
            raise ValueError("warmup_share must be from 0 to below 1")
        if not (0 <= self.decay_share <= 1 and 0 <= self.final_share <= 1):
            raise ValueError("decay_share and final_share must be from 0 to 1")

    @property
    def last_rate(self) -> float:
        """The last rate over the peak rate: 1 without decay."""
        return self.final_share if self.decay_share else 1.0

    def rates(self, progress: Array) -> Array:
        """Return m, shape of ``progress``.

        Args:
            progress: x, each from 0 to 1.
        """
        share = min(self.decay_share, 1 - self.warmup_share)
        done = np.clip((progress - 1) / share + 1, 0.0, 1.0) if share else np.zeros_like(progress)
        match self.decay:
            case Decay.LINEAR:
                fallen = done
            case Decay.COSINE:
                fallen = (1 - np.cos(np.pi * done)) / 2
            case _:
                fallen = np.sqrt(done)
        rates: Array = 1 - (1 - self.final_share) * fallen
        if self.warmup_share:
            rates = rates * np.minimum(progress / self.warmup_share, 1.0)
        return rates

    def step_rates(self, steps: int) -> Array:
        """Return m at the middle of each step, shape (steps,), each above 0.

        Args:
            steps: T, at least 1.
        """
        return self.rates((np.arange(steps) + 0.5) / steps)


CONSTANT = Schedule()
"""The peak rate from the first step to the last."""

LINEAR = Schedule(decay_share=1.0)
"""Falls from the first step to 0 at the last, which the bound prefers to all."""


def schedule_of(asked: LearningRateSchedule) -> Schedule:
    """Return a schedule that was asked for, as shares of the steps.

    Args:
        asked: Its warm-up is a share.

    Raises:
        ValueError: Its warm-up is counted in steps, or a share is out of range.
    """
    if asked.warmup_steps is not None:
        raise ValueError("warmup_steps are no share: say of how many steps")
    decay_share = 0.0 if asked.shape is ScheduleShape.CONSTANT else 1.0
    return Schedule(
        warmup_share=asked.warmup_share,
        decay_share=asked.decay_share if asked.shape is ScheduleShape.WSD else decay_share,
        decay=Decay.COSINE if asked.shape is ScheduleShape.COSINE else Decay.LINEAR,
        final_share=asked.final_share,
    )


def parse_schedule(text: str, *, warmup_share: float = 0.0) -> Schedule:
    """Return the schedule that a name such as ``cosine`` or ``wsd:0.2`` stands for.

    Args:
        text: As ``bsadvise.model.horizon.parse_schedule`` reads it.
        warmup_share: Of the steps, 0 to below 1.

    Raises:
        ValueError: It is no schedule, or a share is out of range.
    """
    return schedule_of(replace(horizon.parse_schedule(text), warmup_share=warmup_share))


@cache
def bound_rate(schedule: Schedule, steps: int = _STEPS) -> float:
    """Return the γ of the least bound, in units of D/G.

    Args:
        schedule: Any.
        steps: T, at least 2.
    """
    rates = schedule.step_rates(steps)
    squares = rates**2
    left, left_squares = _sums_from(rates), _sums_from(squares)
    last = rates[:-1] / left[1:] * left_squares[:-1] / left[:-1]
    return float((left_squares[0] + left[0] * last.sum()) ** -0.5)


def rate_sums(schedule: Schedule, steps: int) -> tuple[float, float]:
    """Return S and Q: to which the way in the gradient's direction and the noise are proportional.

    Args:
        schedule: Any.
        steps: T, at least 1.
    """
    rates = schedule.step_rates(steps)
    return float(rates.sum()), float(rates @ rates)


def peak_rate_factor(schedule: Schedule, measured: Schedule) -> float:
    """Return by which factor the best peak rate changes with the schedule, at equal steps.

    Args:
        schedule: That of the training.
        measured: That of the trial whose rate is known.
    """
    return bound_rate(schedule) / bound_rate(measured)


def _sums_from(values: Array) -> Array:
    """Return the sum over each step and those after it, shape of ``values``."""
    sums: Array = values[::-1].cumsum()[::-1]
    return sums
