"""Real steps: at a size to measure their memory, and the very setting to be recommended."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator
from contextlib import closing
from typing import Any

from bsadvise.model.commands import RunStep, Verify
from bsadvise.model.measurements import StepRun, Verification

from advisor.domain.limits import LOSS
from advisor.worker.commands.timing import StepTimer
from advisor.worker.data.source import DataSource
from advisor.worker.loop.allocation_tracker import AllocationTracker, tracking
from advisor.worker.loop.recipe import Recipe
from advisor.worker.loop.session import Session

_STEPS = 2


def run_step(session: Session, command: RunStep) -> StepRun:
    """Take two steps with the command's sample, then evaluate one batch; return the peak."""
    session.device.limit_allocator()
    batch = session.task.data.longest_batch(command.micro_batch_size, command.sample)
    # Float16 gradients overflow at first; to skip those steps would be to miss the memory that
    # the optimizer takes.
    recipe = Recipe(
        micro_batch_size=command.micro_batch_size,
        accumulation_steps=command.accumulation_steps,
        seed=session.task.seed,
        use_grad_scaler=False,
    )
    training = session.build(recipe)
    session.device.reset_peak()
    with tracking(session.track(training, is_needed=True)) as tracker:
        observers = [tracker] if tracker else []
        # The first step makes the optimizer's state, the second works beside it.
        for _ in range(_STEPS):
            training.step(itertools.repeat(batch), observers=observers)
        training.evaluate_batch(batch, observers=observers)
    return StepRun(peak_bytes=_peak_bytes(session, tracker))


def verify(session: Session, command: Verify) -> Verification:
    """Train for some steps at exactly one setting, the first with the command's sample.

    Where a tracker measures the memory, it slows the steps that are timed.
    """
    data = session.task.data
    session.device.limit_allocator()
    recipe = Recipe(
        micro_batch_size=command.micro_batch_size,
        accumulation_steps=command.accumulation_steps,
        learning_rate=command.learning_rate,
        seed=session.task.seed,
        is_loss_sum=command.is_loss_sum,
    )
    training = session.build(recipe)
    timer = StepTimer(session.device)
    session.device.reset_peak()
    with (
        closing(_longest_first(data, command)) as batches,
        tracking(session.track(training, is_needed=True)) as tracker,
    ):
        observers = [timer, tracker] if tracker else [timer]
        losses = [
            float(training.step(batches, observers=observers).loss)
            for _ in range(command.step_count)
        ]
        training.evaluate_batch(
            data.longest_batch(command.micro_batch_size, command.sample),
            observers=[tracker] if tracker else [],
        )
    not_finite = [step for step, loss in enumerate(losses, start=1) if not math.isfinite(loss)]
    return Verification(
        step_count=command.step_count,
        peak_bytes=_peak_bytes(session, tracker),
        step_times_s=tuple(timer.step_times_s[1:]),
        final_loss=losses[-1] if LOSS.holds(losses[-1]) else None,
        not_finite_step=not_finite[0] if not_finite else None,
    )


def _longest_first(data: DataSource, command: Verify) -> Generator[Any, None, None]:
    """Serve one step of the command's sample, then the training batches."""
    longest = data.longest_batch(command.micro_batch_size, command.sample)
    for _ in range(command.accumulation_steps):
        yield longest
    del longest  # Or it would count beside every later batch.
    with closing(data.training_batches(command.micro_batch_size)) as batches:
        yield from batches


def _peak_bytes(session: Session, tracker: AllocationTracker | None) -> int:
    if tracker is not None:
        return tracker.peak_bytes
    peak_bytes = session.device.peak_reserved_bytes()
    if peak_bytes is None:
        raise AssertionError("steps without a tracker run on CUDA")
    return peak_bytes
