"""Counts a script's steps, their time and their memory, and changes nothing of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from bsadvise.model.commands import RunScript
from bsadvise.model.measurements import Outcome
from bsadvise.model.observation import (
    ObservationEnd,
    PlacedValue,
    PlaceKind,
    Quantity,
    ScriptRun,
)
from bsadvise.model.units import number_text
from torch import Tensor, nn

from advisor.worker.loop.allocation_tracker import AllocationTracker
from advisor.worker.loop.observers import Phase
from advisor.worker.loop.torch_device import TorchDevice
from advisor.worker.scripts.bounded_run import outcome_in_child
from advisor.worker.scripts.circumstances import Circumstances
from advisor.worker.scripts.observation import run_watched
from advisor.worker.scripts.observer import Observer, SeenLoader
from advisor.worker.scripts.places import Candidate, find_candidates
from advisor.worker.scripts.reference import observation_of
from advisor.worker.scripts.surroundings import Script

_TRACKED_STEPS = 2
"""After the first: that makes the optimizer's state, the second works beside it."""
_WARM_UP_STEPS = 1 + _TRACKED_STEPS
"""Steps that are not timed."""
_LEAST_TIMED_STEPS = 3


def count(script: Script, command: RunScript, device: TorchDevice, limit_s: float) -> Outcome:
    """Return what a script did with other values: a ScriptRun, or how it failed.

    It runs in a child of this process, which must not have used a GPU.

    Args:
        script: The script, as its user starts it.
        command: The values, and how long to count.
        device: Where it trains.
        limit_s: Seconds after which it is stopped.
    """
    changed = with_values(script, command.values)

    def run(end_s: float) -> Outcome:
        return count_here(changed, command, device, end_s)

    return outcome_in_child(run, limit_s) or ScriptRun(end=ObservationEnd.TIME_LIMIT, step_count=0)


def count_here(
    script: Script, command: RunScript, device: TorchDevice, limit_s: float | None = None
) -> Outcome:
    """Run a script in this process and count; ``limit_s`` are the seconds it may take."""
    return run_watched(script, counter_of(command, device), run_of, limit_s)


def counter_of(
    command: RunScript, device: TorchDevice
) -> Callable[[Path, Circumstances], StepCounter]:
    """Return what makes the counter of a run, of the copy of its files and what else is noted."""

    def make(copy: Path, circumstances: Circumstances) -> StepCounter:
        if device.memory_limit_bytes is not None:
            device.limit_allocator()
        return StepCounter(copy, command, device, lambda: circumstances.is_compiled)

    return make


def with_values(script: Script, values: Iterable[PlacedValue]) -> Script:
    """Return a script with other values said at their places.

    Raises:
        LookupError: A value is not at its place.
    """
    changed = script
    for value in values:
        changed = _candidate_at(script, value).changed(changed, text_of(value))
    return changed


def text_of(value: PlacedValue) -> str:
    """Return how a value is written."""
    is_rate = value.place.quantity is Quantity.LEARNING_RATE
    return number_text(value.after if is_rate else int(value.after))


def _candidate_at(script: Script, value: PlacedValue) -> Candidate:
    place = replace(value.place, is_confirmed=False)
    before = 0.0 if value.before is None else value.before
    flags = [place.name] if place.kind is PlaceKind.FLAG else []
    found = find_candidates(script.source_dir, script.arguments, flags, place.quantity, before)
    for candidate in found:
        if candidate.place == place:
            return candidate
    raise LookupError(f"{place} does not say {before:g}")


def run_of(
    counter: StepCounter, circumstances: Circumstances, end: ObservationEnd, place: str
) -> ScriptRun:
    """Return what was counted; the arguments are those of ``observation_of``."""
    return ScriptRun(
        end=end,
        step_count=counter.step_count,
        step_times_s=tuple(counter.step_times_s),
        peak_bytes=counter.peak_bytes(),
        setting=observation_of(counter, circumstances, end, place).reference,
    )


class StepCounter(Observer):
    """Observes a script, counts its steps, and stops it after enough of them.

    Attributes:
        step_times_s: Seconds from the end of one step to the end of the next, once warmed up.
    """

    def __init__(
        self,
        copy: Path,
        command: RunScript,
        device: TorchDevice,
        is_compiled: Callable[[], bool],
        now_s: Callable[[], float] = perf_counter,
    ) -> None:
        """Begin to count.

        Args:
            copy: The copy of the script's files.
            command: How long to count.
            device: Where it trains.
            is_compiled: Whether it has compiled what it trains: live bytes are then not counted,
                since they would be those of code that is not compiled.
            now_s: The clock, in seconds.
        """
        super().__init__(copy, command.step_count)
        self.step_times_s: list[float] = []
        self._measure_s = command.measure_s
        self._device = device
        self._is_compiled = is_compiled
        self._now_s = now_s
        self._last_s = 0.0
        self._counted_steps = 0
        self._tracker: AllocationTracker | None = None
        self._tracked_bytes: int | None = None

    def peak_bytes(self) -> int | None:
        """Return the most memory so far; None where none was counted."""
        return self._device.peak_reserved_bytes() or self._tracked_bytes

    def close(self) -> None:
        """Look no more."""
        super().close()
        self._end_tracking()

    def note_batch(self, seen: SeenLoader, batch: Any) -> None:
        """Note a batch, which is counted from here on."""
        super().note_batch(seen, batch)
        if self._tracker is not None:
            self._tracker.entering(Phase.FORWARD)
            self._tracker.received(batch)

    def on_backward(self, tensors: Sequence[Tensor], backward: Callable[[], None]) -> None:
        """Carry out the pass, and count what it allocates as its."""
        self._enter(Phase.BACKWARD)
        super().on_backward(tensors, backward)

    def on_step(
        self, optimizer: torch.optim.Optimizer, step: Callable[[], Any], *, has_closure: bool
    ) -> Any:
        """Carry out the step, and count what it allocates as its."""
        self._enter(Phase.OPTIMIZER)
        return super().on_step(optimizer, step, has_closure=has_closure)

    def _enter(self, phase: Phase) -> None:
        if self._tracker is not None:
            self._tracker.entering(phase)

    def is_enough(self, optimizer: torch.optim.Optimizer) -> bool:
        """Count the step that was taken, and return whether it was the last to be counted."""
        if self.step_count > self._counted_steps:  # Of several optimizers, the one with the most.
            self._counted_steps = self.step_count
            self._note_time()
            if self.step_count == 1:
                self._begin_tracking(optimizer)
            elif self.step_count == _WARM_UP_STEPS:
                self._end_tracking()
                self._last_s = self._now_s()
        # Where no loader gives the batches, it is not seen when the next forward pass begins.
        self._enter(Phase.LOADING if self.loaders else Phase.FORWARD)
        is_timed = len(self.step_times_s) >= _LEAST_TIMED_STEPS
        return super().is_enough(optimizer) or (
            is_timed and sum(self.step_times_s) >= self._measure_s
        )

    def _note_time(self) -> None:
        if self._device.torch_device.type == "cuda":
            self._device.synchronise()
        now_s = self._now_s()
        if self.step_count > _WARM_UP_STEPS:
            self.step_times_s.append(now_s - self._last_s)
        self._last_s = now_s

    def _begin_tracking(self, optimizer: torch.optim.Optimizer) -> None:
        if self._device.torch_device.type == "cuda" or self._is_compiled():
            return  # CUDA's allocator counts by itself.
        self._tracker = AllocationTracker(
            nn.ParameterList(p for group in optimizer.param_groups for p in group["params"]),
            optimizer,
            self._device.torch_device,
            self._device.tracked_limit_bytes,
        )
        self._tracker.__enter__()

    def _end_tracking(self) -> None:
        if self._tracker is not None:
            self._tracker.__exit__(None, None, None)
            self._tracked_bytes = self._tracker.peak_bytes
            self._tracker = None
