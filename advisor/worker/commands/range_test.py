"""The learning-rate range test: train while the rate grows, until the loss has risen for good."""

from __future__ import annotations

from statistics import fmean

from bsadvise.model.commands import RangeTest
from bsadvise.model.measurements import RangeRun

from advisor.domain.limits import LOSS
from advisor.worker.commands.training import take_steps
from advisor.worker.loop.recipe import Exponential, Recipe
from advisor.worker.loop.session import Session

_WINDOW = 5
"""Losses are averaged over so many steps before the test ends for their sake."""
_RISE = 1.0
"""It ends when the loss is above the first ones by so many times what it had fallen, and more."""


def run_range_test(session: Session, command: RangeTest) -> RangeRun:
    """Train from fresh weights at a rate that grows with each step. Diverging is no error."""
    session.device.limit_allocator()
    recipe = Recipe(
        micro_batch_size=command.micro_batch_size,
        accumulation_steps=command.accumulation_steps,
        learning_rate=command.smallest_learning_rate,
        schedule=Exponential(command.factor),
        seed=session.task.seed,
        is_loss_sum=command.is_loss_sum,
    )
    losses = take_steps(session, session.build(recipe), command, has_risen)
    finite = losses if LOSS.holds(losses[-1]) else losses[:-1]
    return RangeRun(
        learning_rates=tuple(
            command.smallest_learning_rate * command.factor**i for i in range(len(finite))
        ),
        train_losses=tuple(finite),
        diverged=len(finite) < len(losses) or has_risen(finite),
    )


def has_risen(losses: list[float]) -> bool:
    """Return whether the loss has risen so far that no larger rate can be of use."""
    if len(losses) < 3 * _WINDOW:
        return False
    means = [fmean(losses[i : i + _WINDOW]) for i in range(len(losses) - _WINDOW + 1)]
    fall = means[0] - min(means)
    spread = max(losses[:_WINDOW]) - min(losses[:_WINDOW])
    return means[-1] > means[0] + max(_RISE * fall, 3 * spread, abs(means[0]))
