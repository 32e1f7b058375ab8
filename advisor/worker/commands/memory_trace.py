"""Predicts the memory of training by following it with fake tensors."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import Lever, TraceMemory
from bsadvise.model.measurements import MemoryTrace
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from advisor.estimators.cuda_allocator import CachingAllocator
from advisor.worker.loop.allocation_tracker import Accountant
from advisor.worker.loop.compiling import is_compiled
from advisor.worker.loop.session import Workshop, entered
from advisor.worker.loop.step import TrainingStep
from advisor.worker.loop.task import ANY_LEARNING_RATE, Task
from advisor.worker.tracing.fake_tensors import (
    fake_batch,
    fake_typical_batch,
    make_fake,
)
from advisor.worker.tracing.memory_savings import change_model, change_optimizer
from advisor.worker.user.hooks import UserCodeFailed
from advisor.worker.user.oom import out_of_memory

_STEPS = 2

_COMPILED_CAVEAT = Caveat(
    code=CaveatCode.COMPILATION_NOT_TRACED,
    text="Memory is predicted for the model without torch.compile.",
)


class _NotFollowed(Exception):
    """Fake tensors would follow the model, but not as it runs."""


def trace_memory(workshop: Workshop, command: TraceMemory) -> MemoryTrace:
    """Return the memory of two optimizer steps and one evaluation batch, without taking it.

    Where fake tensors cannot follow the model, real steps are run and counted; but none of a
    training that the user did not ask for.
    """
    caveats: list[Caveat] = []
    for device in _devices(workshop):
        try:
            return _follow(workshop, command, device)
        except Exception as error:
            if out_of_memory(error) is not None or command.lever is not None:
                raise
            caveats = [_why_run(error)]
    return _run(workshop, command, tuple(caveats))


def _devices(workshop: Workshop) -> list[torch.device]:
    """Return the devices to pretend to be on, best first."""
    cpu = torch.device("cpu")
    if not workshop.placement.is_cuda:
        return [cpu]
    # Fake CUDA tensors need a torch that was built with CUDA or ROCm, but no card.
    is_built_for_gpus = torch.version.cuda or torch.version.hip
    return [torch.device("cuda:0"), cpu] if is_built_for_gpus else [cpu]


def _follow(workshop: Workshop, command: TraceMemory, device: torch.device) -> MemoryTrace:
    task = workshop.task
    # User code may hold tensors of its own, such as class weights; they count as fake ones.
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        make_batch = fake_typical_batch if command.is_typical else fake_batch
        batch = make_batch(task.data, command.micro_batch_size, device, mode)
        model = _build_fake_model(task, device, mode)
        change_model(command.lever, model)
        if not workshop.placement.is_cuda and any(isinstance(m, nn.LSTM) for m in model.modules()):
            # A CPU runs it in oneDNN, which takes a workspace that fake tensors know nothing of.
            raise _NotFollowed("an LSTM on a CPU takes memory that shapes do not tell")
        with mode:
            optimizer = task.build_optimizer(model, ANY_LEARNING_RATE)
            optimizer = change_optimizer(command.lever, optimizer)
            if workshop.placement.is_cuda:
                _update_as_on_cuda(optimizer)
            precision = "bf16" if command.lever is Lever.BF16 else None
            step = TrainingStep(
                task, model, optimizer, device, can_skip_steps=False, precision=precision
            )
            return _count(step, batch, command.accumulation_steps, _allocator(workshop))
    finally:
        # A tensor that the user's code has kept, in a cache say, must not turn real ones that
        # it meets later into fakes: it is to raise, and Worker then loads the file anew.
        mode.allow_non_fake_inputs = False


def _build_fake_model(task: Task, device: torch.device, mode: FakeTensorMode) -> nn.Module:
    try:
        with mode:
            model = task.build_model()
    except UserCodeFailed:
        # Building may look at values, as reading weights from a file does: build it for real,
        # on the host, and let its tensors go.
        model = task.build_model()
    make_fake(model, device, mode)
    return model


def _update_as_on_cuda(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer update all parameters at once, as it would choose to on CUDA.

    It would not choose it for fake tensors, and it takes more memory.
    """
    for group in (optimizer.defaults, *optimizer.param_groups):
        if "foreach" in group and group["foreach"] is None and not group.get("fused"):
            group["foreach"] = True


def _run(workshop: Workshop, command: TraceMemory, caveats: tuple[Caveat, ...]) -> MemoryTrace:
    workshop.placement.limit_allocator()
    data = workshop.task.data
    make_batch = data.typical_batch if command.is_typical else data.longest_batch
    batch = make_batch(command.micro_batch_size)
    step = workshop.build_step(can_skip_steps=False)
    limit_bytes = workshop.placement.accounted_limit_bytes
    return _count(
        step,
        batch,
        command.accumulation_steps,
        _allocator(workshop),
        limit_bytes,
        was_run=True,
        caveats=caveats,
    )


def _allocator(workshop: Workshop) -> CachingAllocator | None:
    """Return what is to follow the device's allocator; None where it has none."""
    return CachingAllocator() if workshop.placement.is_cuda else None


def _count(
    step: TrainingStep,
    batch: Any,  # noqa: ANN401 - the user's batch
    accumulation_steps: int,
    allocator: CachingAllocator | None,
    limit_bytes: int | None = None,
    *,
    was_run: bool = False,
    caveats: tuple[Caveat, ...] = (),
) -> MemoryTrace:
    """Take the steps under an accountant, and return what it counted."""
    accountant = Accountant(step.model, step.optimizer, step.device, limit_bytes, allocator)
    with entered(accountant):
        for _ in range(_STEPS):
            step.run(
                itertools.repeat(batch),
                accumulation_steps=accumulation_steps,
                observers=[accountant],
            )
        peak_bytes, parts = accountant.peak_bytes, accountant.parts
        accountant.reset_peak()
        step.evaluate(batch, [accountant])
    if is_compiled(step.model):
        caveats = (*caveats, _COMPILED_CAVEAT)
    return MemoryTrace(
        peak_bytes=peak_bytes,
        evaluation_peak_bytes=accountant.peak_bytes,
        parts=parts,
        was_run=was_run,
        caveats=caveats,
        reserved_bytes=None if allocator is None else allocator.reserved_bytes,
    )


def _why_run(error: Exception) -> Caveat:
    reason = error.fault.message if isinstance(error, UserCodeFailed) else str(error)
    lines = reason.strip().splitlines()
    first = lines[0][:200] if lines else type(error).__name__
    return Caveat(
        code=CaveatCode.NOT_TRACED,
        text=f"Fake tensors could not follow the model ({first}), so real steps were measured.",
    )
