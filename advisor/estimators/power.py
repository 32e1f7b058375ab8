"""Power: its mean, from reads of a counter of energy, and its course over the batch.

    symbol  meaning                                 unit
    E(t)    reading of the counter at t             J
    P       mean power (E(t₂) − E(t₁))/(t₂ − t₁)    W

A counter is updated in steps: every 20 to 100 ms on NVIDIA's GPUs, every millisecond on processors.
The energy between two updates is known well; from a read before an update to one after it, a whole
step may be missing. So t₁ and t₂ are times at which an update was seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np


def mean_power_w(
    reads: Sequence[tuple[float, float]],
    *,
    begin_s: float,
    end_s: float,
    min_span_share: float = 0.5,
) -> float | None:
    """Return P over an interval; None where the counter was updated too rarely to determine it.

    Args:
        reads: t and E(t), seconds and joules, by rising time.
        begin_s: Begin of the interval, on the clock of the reads.
        end_s: End of the interval.
        min_span_share: Share of the interval, from 0 to 1, that the updates must span to represent
            it. Rule of thumb, not tuned.
    """
    updates = [
        later
        for earlier, later in pairwise(reads)
        if later[1] > earlier[1] and begin_s <= later[0] <= end_s
    ]
    if len(updates) < 2:
        return None
    (first_s, first_j), (last_s, last_j) = updates[0], updates[-1]
    if last_s - first_s <= max(0.0, min_span_share * (end_s - begin_s)):
        return None
    return (last_j - first_j) / (last_s - first_s)


def power_at(powers_w: Mapping[int, float], size: int) -> float:
    """Return P at a batch size: on straight lines between those measured, level beyond them.

    Args:
        powers_w: Watts by batch size; at least one.
        size: The batch size.
    """
    sizes = sorted(powers_w)
    return float(np.interp(size, sizes, [powers_w[one] for one in sizes]))
