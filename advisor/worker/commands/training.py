"""Trains for some steps: the reference run, and the trials."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from contextlib import closing, nullcontext
from time import monotonic

from bsadvise.model.commands import TARGET_EVALUATIONS, RangeTest, Train
from bsadvise.model.measurements import TrainRun

from advisor.domain.limits import LOSS, MOST_LOSSES
from advisor.worker.loop.allocation_tracker import tracking
from advisor.worker.loop.checkpoints import Checkpoints
from advisor.worker.loop.noise import NoiseMeter
from advisor.worker.loop.observers import StepObserver
from advisor.worker.loop.protocol import Training
from advisor.worker.loop.recipe import Constant, Recipe
from advisor.worker.loop.session import Session

_TRACKED_STEPS = 2


def train(session: Session, checkpoints: Checkpoints, command: Train) -> TrainRun:
    """Train for some steps and measure the held-out loss. Diverging is an outcome, no error."""
    session.device.limit_allocator()
    training = session.build(_recipe(session, command))
    if command.start_checkpoint is not None:
        training.restore(checkpoints.load(command.start_checkpoint))
    has_measure = session.task.data.evaluation_size > 0
    meter = NoiseMeter(training) if command.measure_noise else None
    earlier: list[float | None] = []

    def evaluate(losses: list[float]) -> bool:
        if len(losses) not in command.evaluation_steps:
            return False
        earlier.append(training.evaluate(command.evaluation_batch_size))
        return _has_reached(earlier, command.target_loss)

    losses = take_steps(session, training, command, evaluate, meter=meter)
    finite = [loss for loss in earlier if loss is not None]
    diverged = not LOSS.holds(losses[-1]) or (has_measure and len(finite) < len(earlier))
    loss = None if diverged else training.evaluate(command.evaluation_batch_size)
    if command.save_checkpoint is not None and not diverged:
        checkpoints.save(command.save_checkpoint, training.state())
    return TrainRun(
        step_count=len(losses),
        sample_count=len(losses) * command.effective_batch_size,
        train_losses=means([loss for loss in losses if LOSS.holds(loss)], MOST_LOSSES),
        earlier_losses=tuple(finite),
        held_out_loss=loss,
        diverged=diverged or (has_measure and loss is None),
        gradient_norms=meter.norms() if meter else None,
    )


def _recipe(session: Session, command: Train) -> Recipe:
    return Recipe(
        micro_batch_size=command.micro_batch_size,
        accumulation_steps=command.accumulation_steps,
        learning_rate=command.learning_rate,
        schedule=command.schedule or Constant(),
        seed=session.task.seed,
        replicate=command.replicate,
        first_sample=command.first_sample,
        is_loss_sum=command.is_loss_sum,
    )


def _has_reached(losses: list[float | None], target_loss: float | None) -> bool:
    """Return whether the mean of the last evaluations is at the target."""
    last = [loss for loss in losses[-TARGET_EVALUATIONS:] if loss is not None]
    if target_loss is None or len(last) < TARGET_EVALUATIONS:
        return False
    return math.fsum(last) / TARGET_EVALUATIONS <= target_loss


def take_steps(
    session: Session,
    training: Training,
    command: Train | RangeTest,
    is_last: Callable[[list[float]], bool],
    *,
    meter: NoiseMeter | None = None,
) -> list[float]:
    """Return the loss of each step, at least one; the last is not finite when it diverged.

    Args:
        session: Where the limit comes from.
        training: What is trained. It is closed afterwards.
        command: How many steps to take, and how long.
        is_last: Called with the losses so far after each step that went well; returns whether
            to take no more.
        meter: Collects gradient norms.
    """
    observers: list[StepObserver] = [meter] if meter else []
    losses: list[float] = []
    stop_s = monotonic() + (command.stop_after_s or math.inf)
    is_over = False

    def take(count: int, observers: list[StepObserver]) -> None:
        nonlocal is_over
        while len(losses) < count and not is_over:
            losses.append(float(training.step(observers=observers).loss))
            is_over = not LOSS.holds(losses[-1]) or is_last(losses) or monotonic() > stop_s

    with closing(training), meter or nullcontext():
        # The limit is enforced for two steps, after which memory has nothing new to show: a
        # tracker would slow all the others.
        tracker = session.track(training)
        if tracker is not None:
            with tracking(tracker):
                take(min(_TRACKED_STEPS, command.step_count), [tracker, *observers])
        take(command.step_count, observers)
    return losses


def means(values: list[float], most: int) -> tuple[float, ...]:
    """Return at most ``most`` means over runs of values of like length, in order."""
    count = min(most, len(values))
    bounds = [round(i * len(values) / count) for i in range(count + 1)] if count else []
    return tuple(
        math.fsum(values[low:high]) / (high - low) for low, high in itertools.pairwise(bounds)
    )
