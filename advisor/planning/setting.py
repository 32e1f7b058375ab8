"""How an effective batch is split into b·a·W, and what a step of it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from advisor.planning.facts import Facts
from advisor.planning.memory import MemoryModel


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


@dataclass(frozen=True)
class StepCost:
    """What one optimizer step of an effective batch costs, by what was measured.

    Attributes:
        facts: The log so far, with timed steps.
    """

    facts: Facts

    @cached_property
    def _memory(self) -> MemoryModel:
        return MemoryModel(self.facts)

    def split(self, batch_size: int) -> Split | None:
        """Return the split of ``batch_size`` on this device; None when there is none."""
        return split_exactly(
            batch_size,
            self.facts.request.world_size,
            self._memory.max_micro_batch_size,
            self._memory.max_accumulating_size,
        )

    def compute_time_s(self, split: Split) -> float:
        """Return the seconds of a step, data loading left out."""
        curve = self.facts.step_times
        if curve is None:
            raise LookupError("no step was timed")
        return curve.accumulated_step_time_s(split.micro_batch_size, split.accumulation_steps)

    def loading_time_s(self, split: Split) -> float:
        """Return the seconds that the loader needs for a step's samples on one device."""
        per_sample_s = self.facts.load_time_per_sample_s or 0.0
        return per_sample_s * split.micro_batch_size * split.accumulation_steps

    def step_time_s(self, split: Split) -> float:
        """Return the seconds of a step as the user's training loop will see it.

        Without loader processes the loop fetches, then computes; with them it does both at
        once and waits for the slower.
        """
        compute_s, loading_s = self.compute_time_s(split), self.loading_time_s(split)
        if self.facts.profile.num_workers == 0:
            return compute_s + loading_s
        return max(compute_s, loading_s)
