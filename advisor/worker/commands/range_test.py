"""The learning-rate range test: train while the rate grows, until the loss has risen for good."""

from __future__ import annotations

import math
from statistics import fmean

from bsadvise.model.commands import RangeTest
from bsadvise.model.measurements import RangeRun
from torch import Tensor
from torch.optim import Optimizer

from advisor.worker.commands.training import seed_rung, take_steps
from advisor.worker.loop.session import Workshop

_WINDOW = 5
"""Losses are averaged over so many steps before the test ends for their sake."""
_RISE = 1.0
"""It ends when the loss is above the first ones by so many times what it had fallen, and more."""


def run_range_test(workshop: Workshop, command: RangeTest) -> RangeRun:
    """Train from fresh weights at a rate that grows with each step. Diverging is no error."""
    workshop.placement.limit_allocator()
    step = workshop.build_step(command.smallest_learning_rate)
    seed_rung(workshop, 0)

    def look(losses: list[float]) -> bool:
        _raise_rates(step.optimizer, command.factor)
        return has_risen(losses)

    losses = take_steps(workshop, step, command, look)
    finite = losses if math.isfinite(losses[-1]) else losses[:-1]
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


def _raise_rates(optimizer: Optimizer, factor: float) -> None:
    """Multiply the rate of every parameter group; each keeps its ratio to the others."""
    for group in optimizer.param_groups:
        if isinstance(group.get("lr"), int | float | Tensor):
            group["lr"] *= factor
