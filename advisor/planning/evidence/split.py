"""How an effective batch is split into b·a·W."""

from __future__ import annotations

from dataclasses import dataclass


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
    for size in range(min(max_accumulating_size, share // 2), 0, -1):
        if share % size == 0:
            return Split(size, share // size, world_size)
    return None


def friendly_size(largest: int, max_rounding_share: float) -> int:
    """Return the multiple of 8 just below ``largest``, for which kernels' tiles are made.

    Args:
        largest: The largest size that fits.
        max_rounding_share: The most that may be lost by rounding, as a share of ``largest``; where
            more is, it is returned as it is.
    """
    rounded = largest - largest % 8
    return rounded if rounded >= (1 - max_rounding_share) * largest else largest
