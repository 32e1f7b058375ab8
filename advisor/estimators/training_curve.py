"""A learning curve from the losses of the training batches themselves, which cost nothing.

    L̄(k)   mean training loss over the second half of the first k steps

Over a window that is a share of k, so that a training that does the same in half the steps has the
same curve at half the times: what is compared is not blurred.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from advisor.estimators.learning_curve import LearningCurve

_WINDOW = 2.0


def training_curve(
    ends: Sequence[int], means: Sequence[float], step_time_s: float
) -> LearningCurve | None:
    """Return L̄ against modelled seconds; None where there are no losses.

    Args:
        ends: Steps from the training's first at which stretches end, rising, above 0.
        means: Mean training loss of each stretch, finite.
        step_time_s: Seconds of a step, above 0.

    Raises:
        ValueError: The lengths differ.
    """
    if len(ends) != len(means):
        raise ValueError("ends and means must be of one length")
    if not ends:
        return None
    steps = np.array([0, *ends], dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(np.array(means) * np.diff(steps))])
    begins = steps[1:] / _WINDOW
    trailing = (sums[1:] - np.interp(begins, steps, sums)) / (steps[1:] - begins)
    return LearningCurve(tuple(steps[1:] * step_time_s), tuple(map(float, trailing)))
