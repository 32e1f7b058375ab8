"""Counts the bytes of live tensors, fake or real, and refuses what would pass a limit.

Each storage counts with its size rounded up to 512 bytes, the CUDA allocator's smallest block,
from the operation that allocates it until it is freed. Where the job's device is of CUDA, the
allocator's rules are followed too.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self, cast

import torch
from bsadvise.model.measurements import MemoryParts
from bsadvise.model.units import format_bytes
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from advisor.estimators.cuda_allocator import BLOCK_BYTES, Block, CachingAllocator
from advisor.worker.loop.compiling import without_compiling
from advisor.worker.loop.observers import Phase, StepObserver
from advisor.worker.user.batch_tree import tensors_in


class NotCountable(Exception):
    """A tensor does not show what it takes."""


class Holds(IntEnum):
    """What a storage holds, in the order of MemoryParts' fields."""

    PARAMETER = 0
    BUFFER = 1
    GRADIENT = 2
    OPTIMIZER_STATE = 3
    ACTIVATION = 4
    TEMPORARY = 5
    INPUT = 6


_ALLOCATED_IN = {
    # What outlives the forward pass is what the backward pass will need.
    Phase.FORWARD: Holds.ACTIVATION,
    Phase.BACKWARD: Holds.TEMPORARY,
    Phase.OPTIMIZER: Holds.TEMPORARY,
}


@dataclass(slots=True)
class _Entry:
    """A live storage. The reference's callback removes it when the storage is freed."""

    reference: weakref.ref[torch.UntypedStorage]
    size_bytes: int
    holds: Holds
    block: Block | None = None


class AllocationTracker(StepObserver):
    """Tracks the storages of one model's training. Counts while it is entered."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
        limit_bytes: int | None = None,
        allocator: CachingAllocator | None = None,
    ) -> None:
        """Begin with what the model holds already.

        Args:
            model: The model, on its device.
            optimizer: Its optimizer.
            device: Storages elsewhere do not count.
            limit_bytes: The most live bytes allowed; None for any number.
            allocator: Told of each allocation and each release; None for nobody.

        Raises:
            torch.OutOfMemoryError: The model alone passes the limit.
        """
        self.live_bytes = 0
        self.peak_bytes = 0
        self._model = model
        self._optimizer = optimizer
        self._limit_bytes = limit_bytes
        self._allocator = allocator
        self._device_type = device.type
        self._phase = Phase.LOADING
        self._live: dict[int, _Entry] = {}
        self._live_by_kind = [0] * len(Holds)
        self._peak_by_kind = tuple(self._live_by_kind)
        self._dispatch_mode: Any = _DispatchMode(self)  # torch leaves its modes untyped
        self._handles: list[Any] = []
        self.adopt(model.parameters(), Holds.PARAMETER)
        self.adopt(model.buffers(), Holds.BUFFER)
        self.adopt((p.grad for p in model.parameters() if p.grad is not None), Holds.GRADIENT)
        self.adopt(tensors_in(list(optimizer.state.values())), Holds.OPTIMIZER_STATE)

    @property
    def parts(self) -> MemoryParts:
        """What the peak was made of."""
        parameter, buffer, gradient, state, activation, temporary, inputs = self._peak_by_kind
        return MemoryParts(
            parameter_bytes=parameter,
            buffer_bytes=buffer,
            gradient_bytes=gradient,
            optimizer_state_bytes=state,
            activation_bytes=activation,
            temporary_bytes=temporary,
            input_bytes=inputs,
        )

    def __enter__(self) -> Self:
        for parameter in self._model.parameters():
            if parameter.requires_grad:
                register: Any = parameter.register_post_accumulate_grad_hook
                self._handles.append(register(self._accumulated))
        self._dispatch_mode.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._dispatch_mode.__exit__(*exc)
        while self._handles:
            self._handles.pop().remove()

    def around_operations(self) -> AbstractContextManager[object]:
        """Return what shows it the operations of another thread."""
        mode: Any = _DispatchMode(self)
        return cast(AbstractContextManager[object], mode)

    def entering(self, phase: Phase) -> None:
        """Take the state that the optimizer made for what it is; count by the new phase."""
        if self._phase is Phase.OPTIMIZER:
            state = list(self._optimizer.state.values())
            self.adopt(tensors_in(state), Holds.OPTIMIZER_STATE)
        self._phase = phase

    def received(self, batch: Any) -> None:  # noqa: ANN401 - the user's batch
        """Count a batch."""
        self.adopt(tensors_in(batch), Holds.INPUT)

    def reset_peak(self) -> None:
        """Begin a new peak at what is live now."""
        self.peak_bytes = self.live_bytes
        self._peak_by_kind = tuple(self._live_by_kind)

    def adopt(self, tensors: Iterable[Tensor], holds: Holds) -> None:
        """Count tensors that were allocated elsewhere; of those known, correct what they hold."""
        for tensor in tensors:
            for storage in self._storages(tensor):
                self._count(storage, holds)
                entry = self._live[storage._cdata]  # noqa: SLF001 - see _count
                self._live_by_kind[entry.holds] -= entry.size_bytes
                self._live_by_kind[holds] += entry.size_bytes
                entry.holds = holds
        if self._is_over_limit():
            raise self._refusal()

    def _accumulated(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            self.adopt((parameter.grad,), Holds.GRADIENT)

    def _admit(self, result: Any) -> bool:  # noqa: ANN401 - whatever an operation returns
        """Count what an operation returned, and say whether it is within the limit."""
        if self._phase not in _ALLOCATED_IN:
            return True  # A data set's work on the host is no part of the step.
        for tensor in (result,) if isinstance(result, Tensor) else tensors_in(result):
            for storage in self._storages(tensor):
                self._count(storage, _ALLOCATED_IN[self._phase])
        return not self._is_over_limit()

    def _storages(self, tensor: Tensor) -> tuple[torch.UntypedStorage, ...]:
        if tensor.device.type != self._device_type:
            return ()
        if tensor.layout is torch.strided:
            return (tensor.untyped_storage(),)
        if isinstance(tensor, FakeTensor):
            raise NotCountable("fake tensors do not say how much a sparse one holds")
        return tuple(part.untyped_storage() for part in _parts(tensor))

    def _count(self, storage: torch.UntypedStorage, holds: Holds) -> None:
        # The address of the storage itself, which fake tensors have as well; their data have
        # none. Unique while the storage lives, and no longer than that is it a key.
        key = storage._cdata  # noqa: SLF001 - torch has no public name for it
        size_bytes = -(-storage.nbytes() // BLOCK_BYTES) * BLOCK_BYTES
        entry = self._live.get(key)
        if entry is None:
            reference = weakref.ref(storage, lambda _: self._remove(key))
            entry = self._live[key] = _Entry(reference, 0, holds)
        grown = size_bytes - entry.size_bytes
        if grown == 0:
            return
        entry.size_bytes = size_bytes
        self._move_block(entry)
        self._live_by_kind[entry.holds] += grown
        self.live_bytes += grown
        if self.live_bytes >= self.peak_bytes:
            self.peak_bytes = self.live_bytes
            self._peak_by_kind = tuple(self._live_by_kind)

    def _remove(self, key: int) -> None:
        entry = self._live.pop(key)
        if self._allocator is not None and entry.block is not None:
            self._allocator.free(entry.block)
        self.live_bytes -= entry.size_bytes
        self._live_by_kind[entry.holds] -= entry.size_bytes

    def _move_block(self, entry: _Entry) -> None:
        """Give a storage that is new, or of a new size, its block."""
        if self._allocator is None:
            return
        # One that grows needs the new block before it lets go of the old one.
        block = self._allocator.allocate(entry.size_bytes) if entry.size_bytes else None
        if entry.block is not None:
            self._allocator.free(entry.block)
        entry.block = block

    def _is_over_limit(self) -> bool:
        return self._limit_bytes is not None and self.live_bytes > self._limit_bytes

    def _refusal(self) -> torch.OutOfMemoryError:
        limit_bytes = self._limit_bytes or 0
        message = (
            f"CUDA out of memory. Tried to allocate {format_bytes(self.live_bytes)} in all, of "
            f"{format_bytes(limit_bytes)} (bsadvise memory limit)"
        )
        # One of its own to be told of: with the traceback of that raised, all would stay alive.
        self.failure = torch.OutOfMemoryError(message)
        return torch.OutOfMemoryError(message)


class _DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Shows a tracker the result of every operation."""

    def __init__(self, tracker: AllocationTracker) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tracker = tracker

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None  # noqa: ANN401
    ) -> Any:  # fmt: skip  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        if self._tracker._admit(result):  # noqa: SLF001 - one thing in two classes
            return result
        # The refused tensor must be gone by the time that the error is caught.
        del result, args, kwargs
        raise self._tracker._refusal()  # noqa: SLF001


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors that a sparse or a nested one is made of."""
    if tensor.layout is torch.sparse_coo:
        return tensor._indices(), tensor._values()  # noqa: SLF001 - as it is, not coalesced
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    if tensor.layout is torch.jagged:
        nested: Any = tensor
        return nested.values(), nested.offsets()
    raise NotCountable(f"a tensor of layout {tensor.layout} does not say how much it holds")


@contextmanager
def tracking(tracker: AllocationTracker | None) -> Iterator[AllocationTracker | None]:
    """Let a tracker count, if there is one; torch.compile's code would hide from it."""
    if tracker is None:
        yield None
        return
    with without_compiling(), tracker:
        yield tracker
