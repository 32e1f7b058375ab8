"""A learning curve from the losses of the training batches themselves, which cost nothing.

    symbol  meaning                                                          unit
    k       optimizer steps since the training's first                       steps
    c       ratio of the window's end to its begin                           –
    L̄(k)    mean training loss of steps k/c to k: with c = 2 the last half   loss

The window is a share of k, so that a training that makes the same progress in half the steps has
the same curve at half the times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.estimators.learning_curve import LearningCurve, LearningCurveTuning


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCurveTuning:
    """Tuned numbers of ``training_curve``.

    Attributes:
        window_ratio: c, above 1: the larger, the less noise and the more delay. Rule of thumb, not
            tuned; ``LearningCurve.smoothed_at`` averages over the same ratio.
    """

    window_ratio: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a window without a length.

        Raises:
            ValueError: ``window_ratio`` is not above 1.
        """
        if not self.window_ratio > 1:
            raise ValueError("window_ratio must be above 1")


def training_curve(
    ends: Sequence[int],
    means: Sequence[float],
    step_time_s: float,
    *,
    tuning: TrainingCurveTuning = TrainingCurveTuning(),
    curve_tuning: LearningCurveTuning = LearningCurveTuning(),
) -> LearningCurve | None:
    """Return L̄ against modelled seconds; None where there are no losses.

    Args:
        ends: Steps since the training's first at which its segments end, rising, above 0.
        means: Mean training loss of each segment, finite.
        step_time_s: Seconds of a step, above 0.
        tuning: Over how many of the steps to average.
        curve_tuning: Of the curve that is returned.

    Raises:
        ValueError: The lengths differ.
    """
    if len(ends) != len(means):
        raise ValueError("ends and means must be of one length")
    if not ends:
        return None
    steps = np.array([0, *ends], dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(np.array(means) * np.diff(steps))])
    begins = steps[1:] / tuning.window_ratio
    trailing = (sums[1:] - np.interp(begins, steps, sums)) / (steps[1:] - begins)
    return LearningCurve(tuple(steps[1:] * step_time_s), tuple(map(float, trailing)), curve_tuning)
