"""Trains for some steps: the trunk, and the branches that start from it."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext

from bsadvise.model.commands import RangeTest, Train
from bsadvise.model.measurements import TrainRun

from advisor.worker.loop.checkpoints import Checkpoints
from advisor.worker.loop.evaluation import held_out_loss
from advisor.worker.loop.noise import NoiseMeter
from advisor.worker.loop.session import Workshop, entered
from advisor.worker.loop.step import StepObserver, TrainingStep
from advisor.worker.loop.task import seed_everything

_MOST_LOSSES = 64
_ACCOUNTED_STEPS = 2

_ARRIVAL_LOOKS = 3

_REPLICATE_EPOCHS = 10_000
"""More than any trial trains for."""


def train(workshop: Workshop, checkpoints: Checkpoints, command: Train) -> TrainRun:
    """Train for some steps and measure the held-out loss. Diverging is an outcome, no error."""
    workshop.placement.limit_allocator()
    step = workshop.build_step(command.learning_rate, replicate=command.replicate)
    if command.start_checkpoint is not None:
        checkpoints.load(command.start_checkpoint, step)
    has_measure = workshop.task.data.evaluation_size > 0
    seed_rung(workshop, command.rung)
    meter = None
    if command.measure_noise:
        meter = NoiseMeter(step, command.micro_batch_size, command.accumulation_steps)
    earlier: list[float | None] = []

    def look(losses: list[float]) -> bool:
        if len(losses) not in command.evaluation_steps:
            return False
        earlier.append(held_out_loss(step, command.evaluation_batch_size))
        return _has_arrived(earlier, command.target_loss)

    losses = take_steps(
        workshop, step, command, look, meter=meter, first_sample=_first_sample(workshop, command)
    )
    finite = [loss for loss in earlier if loss is not None]
    diverged = not math.isfinite(losses[-1]) or (has_measure and len(finite) < len(earlier))
    loss = None if diverged else held_out_loss(step, command.evaluation_batch_size)
    if command.save_checkpoint is not None and not diverged:
        checkpoints.save(command.save_checkpoint, step)
    return TrainRun(
        step_count=len(losses),
        sample_count=len(losses) * command.effective_batch_size,
        train_losses=means([loss for loss in losses if math.isfinite(loss)], _MOST_LOSSES),
        earlier_losses=tuple(finite),
        held_out_loss=loss,
        diverged=diverged or (has_measure and loss is None),
        gradient_norms=meter.norms() if meter else None,
    )


def _has_arrived(losses: list[float | None], target_loss: float | None) -> bool:
    """Return whether the mean of the last looks is at the target: one alone may be luck."""
    last = [loss for loss in losses[-_ARRIVAL_LOOKS:] if loss is not None]
    if target_loss is None or len(last) < _ARRIVAL_LOOKS:
        return False
    return math.fsum(last) / _ARRIVAL_LOOKS <= target_loss


def _first_sample(workshop: Workshop, command: Train) -> int:
    """Return where in the data order to begin: a replicate begins in epochs that no other sees.

    A stream has one order, and replicates of it differ in their weights alone.
    """
    epoch = _REPLICATE_EPOCHS * command.replicate
    return command.first_sample + epoch * (workshop.task.data.dataset_size or 0)


def seed_rung(workshop: Workshop, rung: int) -> None:
    """Seed what training draws at random, dropout above all: alike in all trials, new in each rung.

    The data are opened first, since that seeds too: a process's first training is like any other.
    """
    _ = workshop.task.data
    seed_everything(workshop.task.seed + 7919 * (rung + 1))


def take_steps(
    workshop: Workshop,
    step: TrainingStep,
    command: Train | RangeTest,
    look: Callable[[list[float]], bool],
    *,
    meter: NoiseMeter | None = None,
    first_sample: int = 0,
) -> list[float]:
    """Return the loss of each step, at least one; the last is not finite when it diverged.

    Args:
        workshop: Where the data come from.
        step: What is trained.
        command: How.
        look: Called with the losses so far after each step that went well; returns whether to
            take no more.
        meter: Collects gradient norms.
        first_sample: Position in the data order at which to begin, samples.
    """
    watchers: list[StepObserver] = [meter] if meter else []
    losses: list[float] = []
    batches = workshop.task.data.training_batches(
        command.micro_batch_size, first_sample=first_sample
    )
    stop_s = time.monotonic() + (command.stop_after_s or math.inf)
    is_over = False

    def take(count: int, observers: list[StepObserver]) -> None:
        nonlocal is_over
        while len(losses) < count and not is_over:
            loss = step.run(
                batches, accumulation_steps=command.accumulation_steps, observers=observers
            )
            losses.append(float(loss))
            is_over = not math.isfinite(losses[-1]) or look(losses) or time.monotonic() > stop_s

    with closing(batches), meter or nullcontext():
        # The limit is enforced for two steps, after which memory has nothing new to show: an
        # accountant would slow all the others.
        accountant = workshop.account(step)
        if accountant is not None:
            with entered(accountant):
                take(min(_ACCOUNTED_STEPS, command.step_count), [accountant, *watchers])
        take(command.step_count, watchers)
    return losses


def means(values: list[float], most: int) -> tuple[float, ...]:
    """Return at most ``most`` means over stretches of like length, in order."""
    count = min(most, len(values))
    bounds = [round(i * len(values) / count) for i in range(count + 1)] if count else []
    return tuple(
        math.fsum(values[low:high]) / (high - low) for low, high in itertools.pairwise(bounds)
    )
