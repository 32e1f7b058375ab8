"""What an optimizer step costs, by what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.semantics import is_indivisible
from advisor.planning.evidence.split import Split, split_exactly
from advisor.planning.memory.memory_model import MemoryModel


@dataclass(frozen=True)
class StepCost:
    """What one optimizer step of an effective batch costs, by what was measured.

    Attributes:
        view: The log so far, with timed steps.
    """

    view: LogView

    @cached_property
    def _memory(self) -> MemoryModel:
        return self.view.model(MemoryModel)

    def split(self, batch_size: int) -> Split | None:
        """Return the split of ``batch_size`` on this device; None when there is none.

        A batch that does not fit and must not be divided has none.
        """
        return split_exactly(
            batch_size,
            self.view.request.world_size,
            self._memory.max_micro_batch_size,
            0 if is_indivisible(self.view) else self._memory.max_accumulating_size,
        )

    def compute_time_s(self, split: Split) -> float:
        """Return the seconds of a step, data loading left out."""
        curve = self.view.step_times
        if curve is None:
            raise LookupError("no step was timed")
        return curve.accumulated_step_time_s(split.micro_batch_size, split.accumulation_steps)

    def loading_time_s(self, split: Split) -> float:
        """Return the seconds that the loader needs for a step's samples on one device."""
        per_sample_s = self.view.load_time_per_sample_s or 0.0
        return per_sample_s * split.micro_batch_size * split.accumulation_steps

    def step_time_s(self, split: Split) -> float:
        """Return the seconds of a step as the user's training loop will see it.

        Without loader processes the loop fetches, then computes; with them it does both at
        once and waits for the slower.
        """
        known_s = self._step_times_s.get(split)
        if known_s is not None:
            return known_s
        compute_s, loading_s = self.compute_time_s(split), self.loading_time_s(split)
        is_serial = self.view.profile.num_workers == 0
        time_s = compute_s + loading_s if is_serial else max(compute_s, loading_s)
        self._step_times_s[split] = time_s
        return time_s

    @cached_property
    def _step_times_s(self) -> dict[Split, float]:
        """What was asked for so far: a long log has trainings of a few splits only."""
        return {}
