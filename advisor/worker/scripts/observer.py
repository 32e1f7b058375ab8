"""Watches a script train, and changes nothing: which loader, which optimizers, how many steps."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from advisor.worker.scripts.handler import AnyLoader, PassiveHandler, StopScript, TrainerKind


class SeenLoader:
    """A DataLoader that the script reads.

    Attributes:
        loader: The loader.
        number: How many others were read before it for the first time.
        place: Where the script first began to read it; empty where that is in no file of its.
        batch_count: Batches that it gave.
        step_count: Optimizer steps before which its batch was the last at the backward pass.
    """

    def __init__(self, loader: AnyLoader, number: int, place: str) -> None:
        self.loader = loader
        self.number = number
        self.place = place
        self.batch_count = 0
        self.step_count = 0


class SeenOptimizer:
    """An optimizer that takes steps.

    Attributes:
        optimizer: The optimizer.
        first_rates: Of each parameter group at its first step; None where the group has none.
        has_changing_rate: Whether the first group's rate was another at a later step.
        batch_counts: For each step, the batches that were read since the one before.
        first_step: Number of its first step among those of all optimizers.
        last_step: Number of its last.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, first_step: int) -> None:
        self.optimizer = optimizer
        self.first_step = self.last_step = first_step
        self.first_rates = [group.get("lr") for group in optimizer.param_groups]
        self.first_rates = [None if rate is None else float(rate) for rate in self.first_rates]
        self.has_changing_rate = False
        self.batch_counts: list[int] = []
        self._last_batch_count = 0

    def overlaps(self, other: SeenOptimizer) -> bool:
        """Return whether it takes steps in turn with another, not before or after it."""
        return self.first_step <= other.last_step and other.first_step <= self.last_step

    def note_step(self, source: SeenLoader | None, number: int) -> None:
        """Note its step of a number, on batches of a loader."""
        self.last_step = number
        groups = self.optimizer.param_groups
        rate = groups[0].get("lr") if groups else None
        if rate is not None and float(rate) != self.first_rates[0]:
            self.has_changing_rate = True
        batch_count = source.batch_count if source else 0
        self.batch_counts.append(batch_count - self._last_batch_count)
        self._last_batch_count = batch_count


class Observer(PassiveHandler):
    """Notes what trains, and stops the script after some steps.

    Attributes:
        loaders: In the order in which they were first read.
        optimizers: Those that took steps, in the order of their first.
        backward_count: Backward passes.
        has_closure: Whether a step was given a closure, by no trainer.
        trainer: Whose trainer trains; None where none does.
        stop: Called once enough was seen; leaves the script unless it is replaced.
        start_s: Seconds until the end of the first step; None before it.
        row_count: Rows of the tensors that every step's forward pass began with; None where these
            were not the same each time, or a loader was read.
    """

    def __init__(self, copy: Path, step_limit: int) -> None:
        """Note what to look at.

        Args:
            copy: The copy of the script's files.
            step_limit: Steps of one optimizer after which the script is stopped.
        """
        self.loaders: list[SeenLoader] = []
        self.optimizers: list[SeenOptimizer] = []
        self.backward_count = 0
        self.has_closure = False
        self.trainer: TrainerKind | None = None
        self.start_s: float | None = None
        self.stop: Callable[[], NoReturn] = _leave_script
        self._began_s = monotonic()
        self._copy = copy
        self._step_limit = step_limit
        self._step_number = 0
        self._last: SeenLoader | None = None
        self._at_backward: list[SeenLoader | None] = []
        self._inputs = _Inputs()

    @property
    def step_count(self) -> int:
        """Steps of the optimizer that took the most."""
        return max((len(seen.batch_counts) for seen in self.optimizers), default=0)

    @property
    def row_count(self) -> int | None:
        """Rows that every step sees."""
        return None if self.loaders else self._inputs.row_count

    def close(self) -> None:
        """Leave the script's modules alone again."""
        self._inputs.close()

    def on_loader(
        self, loader: AnyLoader, make_iterator: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        """Return the loader's own iterator, with each batch noted."""
        seen = next((seen for seen in self.loaders if seen.loader is loader), None)
        if seen is None:
            seen = SeenLoader(loader, len(self.loaders), place_of_caller(self._copy))
            self.loaders.append(seen)
        return _Watched(make_iterator(), seen, self.note_batch)

    def note_batch(self, seen: SeenLoader, batch: Any) -> None:  # noqa: ARG002 - for who counts it
        """Note that a loader has given a batch."""
        seen.batch_count += 1
        self._last = seen

    def on_backward(self, tensors: Sequence[Tensor], backward: Callable[[], None]) -> None:
        """Carry out the pass, and note whose batch it is likely to be of."""
        self.backward_count += 1
        self._at_backward.append(self._last)
        super().on_backward(tensors, backward)

    def on_step(
        self, optimizer: torch.optim.Optimizer, step: Callable[[], Any], *, has_closure: bool
    ) -> Any:
        """Carry out the step, and note what it was of."""
        self.has_closure |= has_closure and self.trainer is None
        result = super().on_step(optimizer, step, has_closure=has_closure)
        # A trainer's closure has made the backward pass by now.
        source = self._source()
        self._at_backward.clear()
        if source is None:
            self._inputs.note_step()
        else:
            source.step_count += 1
        seen = next((seen for seen in self.optimizers if seen.optimizer is optimizer), None)
        if seen is None:
            seen = SeenOptimizer(optimizer, self._step_number)
            self.optimizers.append(seen)
        seen.note_step(source, self._step_number)
        self._step_number += 1
        if self.start_s is None:
            self.start_s = monotonic() - self._began_s
        if self.is_enough(optimizer):
            self.stop()
        return result

    def is_enough(self, optimizer: torch.optim.Optimizer) -> bool:  # noqa: ARG002 - for who counts
        """Return whether the script is to be stopped after the step that this one has taken."""
        return self.step_count >= self._step_limit

    def _source(self) -> SeenLoader | None:
        """Return the loader whose batches the backward passes since the last step were of."""
        if not self._at_backward:
            return self._last  # Gradients by torch.autograd.grad.
        return Counter(self._at_backward).most_common(1)[0][0]

    def on_trainer(
        self,
        kind: TrainerKind,
        trainer: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        run: Callable[[], Any],
    ) -> Any:
        """Carry out the training, and stop the script when it is over."""
        self.trainer = kind
        result = super().on_trainer(kind, trainer, args, kwargs, run)
        if self.step_count:
            self.stop()
        return result


def _leave_script() -> NoReturn:
    raise StopScript


class _Watched:
    """An iterator that has each batch noted that it gives."""

    def __init__(
        self, iterator: Iterator[Any], seen: SeenLoader, note: Callable[[SeenLoader, Any], None]
    ) -> None:
        self._iterator = iterator
        self._seen = seen
        self._note = note

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = next(self._iterator)
        self._note(self._seen, batch)
        return batch

    def __len__(self) -> int:
        return len(self._iterator)  # type: ignore[arg-type] # those of loaders have one

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterator, name)


class _Inputs:
    """The tensors with which the forward passes of a script without a loader begin.

    Attributes:
        row_count: Their first dimension, where all steps saw the same; else None.
    """

    def __init__(self) -> None:
        self.row_count: int | None = None
        self._hook: Any = None
        # Kept: another tensor cannot then be put where it is.
        self._first: Tensor | None = None
        self._is_begun = False
        self._is_same = True

    def note_step(self) -> None:
        """Begin to look, or compare what the step before saw."""
        self._is_begun = False
        if self._hook is None:
            self._hook = register_module_forward_pre_hook(self._note_input)

    def close(self) -> None:
        """Look no more."""
        if self._hook is not None:
            self._hook.remove()

    def _note_input(self, _: nn.Module, args: tuple[Any, ...]) -> None:
        if self._is_begun or not torch.is_grad_enabled():
            return
        self._is_begun = True
        tensor = next((item for item in args if isinstance(item, Tensor)), None)
        if self._first is None:
            self._first = tensor
            return
        self._is_same &= tensor is not None and _are_same(tensor, self._first)
        self.row_count = len(self._first) if self._is_same and self._first.dim() else None


def _are_same(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape


def place_of_caller(copy: Path) -> str:
    """Return the innermost line of the user's that is being run; empty without one."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as `warnings` finds the line
    return place_of_frame(frame, copy)


def place_of_frame(frame: FrameType | None, copy: Path) -> str:
    """Return the innermost line of the user's at or around a frame; empty without one."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(copy) and "site-packages" not in path.parts:
            return f"{path.relative_to(copy).as_posix()}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
