"""Predicts the memory of training by following it with fake tensors."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import Lever, TraceMemory
from bsadvise.model.measurements import Fault, FaultCode, MemoryTrace
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from advisor.estimators.cuda_allocator import CachingAllocator
from advisor.worker.loop.allocation_tracker import AllocationTracker, tracking
from advisor.worker.loop.compiling import NOT_TRACED, is_compiled
from advisor.worker.loop.protocol import Training
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.loop.session import Session
from advisor.worker.tracing.fake_context import FakeTensorContext
from advisor.worker.tracing.fake_tensors import fake_batch, fake_typical_batch
from advisor.worker.user.hooks import UserCodeFailed
from advisor.worker.user.oom import out_of_memory

_STEPS = 2


class _NotFollowed(Exception):
    """Fake tensors would follow the model, but not as it runs."""


def trace_memory(session: Session, command: TraceMemory) -> MemoryTrace:
    """Return the memory of two optimizer steps and one evaluation batch, without taking it.

    Where fake tensors cannot follow the model, real steps are run and counted; but none of a
    training that the user did not ask for.
    """
    if not session.task.settings.is_traceable:
        return _run(session, command, (_why_run(_NotFollowed("the loop is the script's own")),))
    caveats: list[Caveat] = []
    for device in _devices(session):
        try:
            return _follow(session, command, device)
        except Exception as error:
            if out_of_memory(error) is not None:
                raise
            if command.lever is not None:
                raise _without_trace(error) from error
            caveats = [_why_run(error)]
    return _run(session, command, tuple(caveats))


def _devices(session: Session) -> list[torch.device]:
    """Return the devices to pretend to be on, best first."""
    cpu = torch.device("cpu")
    # Of a card that is not here, PyTorch can take no backward pass, and casts nothing by autocast.
    return [cpu] if session.torch_device == cpu else [session.torch_device, cpu]


def _recipe(session: Session, command: TraceMemory) -> Recipe:
    return Recipe(
        micro_batch_size=command.micro_batch_size,
        accumulation_steps=command.accumulation_steps,
        seed=session.task.seed,
        precision="bf16" if command.lever is Lever.BF16 else None,
        use_grad_scaler=False,
    )


def _follow(session: Session, command: TraceMemory, device: torch.device) -> MemoryTrace:
    task = session.task
    # User code may hold tensors of its own, such as class weights; they count as fake ones.
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        size = command.micro_batch_size
        batch = (
            fake_typical_batch(task.data, size, device, mode)
            if command.is_typical
            else fake_batch(task.data, size, device, mode, command.sample)
        )
        context = FakeTensorContext(
            mode, device, saving=command.lever, is_cuda=session.device.is_cuda
        )
        training = task.build(_recipe(session, command), device, SINGLE_PROCESS, context)
        _refuse_lstm_on_cpu(session, training.model)
        with mode:
            return _count(training, batch, device, _allocator(session))
    finally:
        # A tensor that the user's code has kept, in a cache say, must not turn real ones that
        # it meets later into fakes: it is to raise, and Worker then loads the file anew.
        mode.allow_non_fake_inputs = False


def _refuse_lstm_on_cpu(session: Session, model: nn.Module) -> None:
    if not session.device.is_cuda and any(isinstance(m, nn.LSTM) for m in model.modules()):
        # A CPU runs it in oneDNN, which takes a workspace that fake tensors know nothing of.
        raise _NotFollowed("an LSTM on a CPU takes memory that shapes do not tell")


def _run(session: Session, command: TraceMemory, caveats: tuple[Caveat, ...]) -> MemoryTrace:
    session.device.limit_allocator()
    data = session.task.data
    size = command.micro_batch_size
    batch = (
        data.typical_batch(size) if command.is_typical else data.longest_batch(size, command.sample)
    )
    training = session.build(_recipe(session, command))
    return _count(
        training,
        batch,
        session.torch_device,
        _allocator(session),
        session.device.tracked_limit_bytes,
        was_run=True,
        caveats=caveats,
    )


def _allocator(session: Session) -> CachingAllocator | None:
    """Return what is to follow the device's allocator; None where it has none."""
    return CachingAllocator() if session.device.is_cuda else None


def _count(
    training: Training,
    batch: Any,  # noqa: ANN401 - the user's batch
    device: torch.device,
    allocator: CachingAllocator | None,
    limit_bytes: int | None = None,
    *,
    was_run: bool = False,
    caveats: tuple[Caveat, ...] = (),
) -> MemoryTrace:
    """Take the steps under a tracker, and return what it counted."""
    tracker = AllocationTracker(training.model, training.optimizer, device, limit_bytes, allocator)
    with tracking(tracker):
        for _ in range(_STEPS):
            training.step(itertools.repeat(batch), observers=[tracker])
        peak_bytes, parts = tracker.peak_bytes, tracker.parts
        tracker.reset_peak()
        training.evaluate_batch(batch, observers=[tracker])
    if is_compiled(training.model):
        caveats = (*caveats, NOT_TRACED)
    return MemoryTrace(
        peak_bytes=peak_bytes,
        evaluation_peak_bytes=tracker.peak_bytes,
        parts=parts,
        was_run=was_run,
        caveats=caveats,
        reserved_bytes=None if allocator is None else allocator.reserved_bytes,
    )


def _why_run(error: Exception) -> Caveat:
    return Caveat(
        code=CaveatCode.NOT_TRACED,
        text=f"{_not_followed(error)}, so real steps were measured.",
    )


def _without_trace(error: Exception) -> Exception:
    """Return the error of a memory saving of which there is no trace; that is no defect of ours."""
    if isinstance(error, UserCodeFailed):
        return error
    fault = Fault(code=FaultCode.MODEL_FILE, message=f"{_not_followed(error)}.")
    return UserCodeFailed(fault)


def _not_followed(error: Exception) -> str:
    reason = error.fault.message if isinstance(error, UserCodeFailed) else str(error)
    lines = reason.strip().splitlines()
    first = lines[0][:200] if lines else type(error).__name__
    return f"Fake tensors could not follow the model ({first})"
