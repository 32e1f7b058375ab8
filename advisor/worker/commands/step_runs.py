"""Real steps: at a size to measure their memory, and the very setting to be recommended."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator
from contextlib import closing
from typing import Any

import torch
from bsadvise.model.commands import RunStep, Verify
from bsadvise.model.measurements import StepRun, Verification

from advisor.worker.commands.timing import StepTimer
from advisor.worker.data.source import DataSource
from advisor.worker.loop.allocation_tracker import Accountant
from advisor.worker.loop.session import Workshop, entered

_STEPS = 2


def run_step(workshop: Workshop, command: RunStep) -> StepRun:
    """Take two steps with the largest sample, then evaluate one batch; return the peak."""
    workshop.placement.limit_allocator()
    batch = workshop.task.data.longest_batch(command.micro_batch_size)
    # Float16 gradients overflow at first; to skip those steps would be to miss the memory that
    # the optimizer takes.
    step = workshop.build_step(can_skip_steps=False)
    workshop.placement.reset_peak()
    with entered(workshop.account(step, is_needed=True)) as accountant:
        observers = [accountant] if accountant else []
        # The first step makes the optimizer's state, the second works beside it.
        for _ in range(_STEPS):
            step.run(
                itertools.repeat(batch),
                accumulation_steps=command.accumulation_steps,
                observers=observers,
            )
        step.evaluate(batch, observers)
    return StepRun(peak_bytes=_peak_bytes(workshop, accountant))


def verify(workshop: Workshop, command: Verify) -> Verification:
    """Train for some steps at exactly one setting, the first with the largest sample.

    Where an accountant measures the memory, it slows the steps that are timed.
    """
    data = workshop.task.data
    workshop.placement.limit_allocator()
    step = workshop.build_step(command.learning_rate)
    timer = StepTimer(workshop.placement)
    workshop.placement.reset_peak()
    with (
        closing(_longest_first(data, command)) as batches,
        entered(workshop.account(step, is_needed=True)) as accountant,
    ):
        observers = [timer, accountant] if accountant else [timer]
        loss = torch.zeros(())
        for _ in range(command.step_count):
            loss = step.run(
                batches, accumulation_steps=command.accumulation_steps, observers=observers
            )
        step.evaluate(
            data.longest_batch(command.micro_batch_size), [accountant] if accountant else []
        )
    final_loss = float(loss)
    return Verification(
        step_count=command.step_count,
        peak_bytes=_peak_bytes(workshop, accountant),
        step_times_s=tuple(timer.step_times_s[1:]),
        final_loss=final_loss if math.isfinite(final_loss) else None,
    )


def _longest_first(data: DataSource, command: Verify) -> Generator[Any, None, None]:
    """Serve one step of the largest sample, then the training batches."""
    longest = data.longest_batch(command.micro_batch_size)
    for _ in range(command.accumulation_steps):
        yield longest
    del longest  # Or it would count beside every later batch.
    with closing(data.training_batches(command.micro_batch_size)) as batches:
        yield from batches


def _peak_bytes(workshop: Workshop, accountant: Accountant | None) -> int:
    if accountant is not None:
        return accountant.peak_bytes
    peak_bytes = workshop.placement.peak_reserved_bytes()
    if peak_bytes is None:
        raise AssertionError("steps without an accountant run on CUDA")
    return peak_bytes
