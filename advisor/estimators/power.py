"""Power: its mean, from reads of a counter of energy, and its course over the batch.

    E(t)   joules on the counter at t
    P      watts, (E(t₂) − E(t₁))/(t₂ − t₁)

A counter moves in steps: every 20 to 100 ms on NVIDIA's GPUs, every millisecond on processors.
Between two of its moves what it has gained is known well; from a read before a move to one
after it, a whole step may be missing. So t₁ and t₂ are times at which it was seen to have moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

_LEAST_SHARE = 0.5
"""Moves that span less of the stretch than this do not speak for it."""


def mean_power_w(
    reads: Sequence[tuple[float, float]], *, begin_s: float, end_s: float
) -> float | None:
    """Return P over a stretch; None where the counter moved too seldom to tell.

    Args:
        reads: t and E(t), seconds and joules, by rising time.
        begin_s: Where the stretch begins, on the clock of the reads.
        end_s: Where it ends.
    """
    moves = [
        later
        for earlier, later in pairwise(reads)
        if later[1] > earlier[1] and begin_s <= later[0] <= end_s
    ]
    if len(moves) < 2:
        return None
    (first_s, first_j), (last_s, last_j) = moves[0], moves[-1]
    if last_s - first_s <= max(0.0, _LEAST_SHARE * (end_s - begin_s)):
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
