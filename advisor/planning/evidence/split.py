"""How an effective batch is split into b·a·W."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Split:
    """An effective batch as micro-batches: B = b·a·W.

    Attributes:
        micro_batch_size: b.
        accumulation_steps: a.
        world_size: W.
    """

    micro_batch_size: int
    accumulation_steps: int
    world_size: int

    @property
    def effective_batch_size(self) -> int:
        """B."""
        return self.micro_batch_size * self.accumulation_steps * self.world_size


def split_exactly(
    batch_size: int, world_size: int, max_size: int, max_accumulating_size: int
) -> Split | None:
    """Return the split of exactly ``batch_size`` with the fewest accumulation steps.

    Args:
        batch_size: B, at least 1.
        world_size: W, at least 1.
        max_size: Largest b that fits without accumulation.
        max_accumulating_size: Largest b that fits with it.

    Returns:
        The split; None when W does not divide B, or not even one sample fits.
    """
    share, remainder = divmod(batch_size, world_size)
    if remainder or share == 0:
        return None
    if share <= max_size:
        return Split(share, 1, world_size)
    size = _largest_divisor(share, min(max_accumulating_size, share // 2))
    return None if size is None else Split(size, share // size, world_size)


@lru_cache(maxsize=4096)
def _largest_divisor(number: int, most: int) -> int | None:
    """Return the largest divisor of ``number`` up to ``most``; None when that is below 1.

    One of each two divisors whose product is the number is at most its root, so that so many
    divisions find it. A search asks for the same few again and again.
    """
    if most < 1:
        return None
    root = math.isqrt(number)
    for quotient in range(-(-number // most), root + 1):
        if number % quotient == 0:
            return number // quotient
    return next(size for size in range(min(most, root), 0, -1) if number % size == 0)


def nearest_common_size(size: float) -> int:
    """Return the batch size nearest to ``size`` that people use and kernels' tiles divide well.

    Four a doubling: 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, ... Below 16 all are.
    Multiples of 8 from 16 on, of 64 from 256 on: NVIDIA, Matrix Multiplication Background User's
    Guide.

    Args:
        size: Samples, above 0.
    """
    step = 1 if size < 16 else max(8, 2 ** (math.floor(math.log2(size)) - 2))
    return max(1, round(size / step) * step)


def friendly_size(largest: int, max_rounding_share: float) -> int:
    """Return the multiple of 8 just below ``largest``, for which kernels' tiles are made.

    Args:
        largest: The largest size that fits.
        max_rounding_share: The most that may be lost by rounding, as a share of ``largest``; where
            more is, it is returned as it is.
    """
    rounded = largest - largest % 8
    return rounded if rounded >= (1 - max_rounding_share) * largest else largest
