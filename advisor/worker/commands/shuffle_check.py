"""Takes gradients of batches in the order in which the data are stored, and of shuffled ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from bsadvise.model.commands import CompareOrders
from bsadvise.model.measurements import GradientNorms, OrderComparison

from advisor.worker.data.source import DataSource
from advisor.worker.loop.noise import NoiseMeter
from advisor.worker.loop.session import Workshop
from advisor.worker.loop.step import TrainingStep

_LEAST_BATCHES = 8
"""Of fewer, the variance between them is hardly known."""


def compare_orders(workshop: Workshop, command: CompareOrders) -> OrderComparison:
    """Measure how much gradients differ from batch to batch, as stored and shuffled.

    No weight changes. The next training builds its own model and seeds its own generators, so
    that nothing of this is left in it.
    """
    workshop.placement.limit_allocator()
    data, size = workshop.task.data, command.batch_size
    stored = data.stored_batches(
        size, command.batch_count, most_read_samples=command.most_read_samples
    )
    if len(stored) < _LEAST_BATCHES:
        return OrderComparison()
    # Without the scaler: float16 gradients would overflow at first, and all orders alike lose
    # what is too small.
    step = workshop.build_step(can_skip_steps=False)
    samples = [sample for batch in stored for sample in batch]
    dice = random.Random(workshop.task.seed)  # noqa: S311 - for a shuffle
    orders = [dice.sample(samples, len(samples)) for _ in range(command.shuffle_count)]
    shuffled = [[order[i : i + size] for i in range(0, len(order), size)] for order in orders]
    return OrderComparison(
        stored=_norms(step, data, [stored]), shuffled=_norms(step, data, shuffled)
    )


def _norms(
    step: TrainingStep, data: DataSource, orders: Sequence[list[list[Any]]]
) -> GradientNorms | None:
    """Return the norms of each order; None when those of one are not finite."""
    batch_count, batch_size = len(orders[0]), len(orders[0][0])
    with NoiseMeter(step, batch_size, batch_count, is_raw=True) as meter:
        for order in orders:
            step.optimizer.zero_grad(set_to_none=True)
            step.accumulate((data.collate(samples) for samples in order), batch_count)
            meter.take_norms()
        norms = meter.norms()
    return norms if norms and len(norms.big_squared_norms) == len(orders) else None
