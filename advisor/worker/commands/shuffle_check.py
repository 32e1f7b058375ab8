"""Takes gradients of batches in the order in which the data are stored, and of shuffled ones."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from bsadvise.model.commands import CompareOrders
from bsadvise.model.measurements import GradientNorms, OrderComparison

from advisor.worker.data.source import DataSource
from advisor.worker.loop.noise import NoiseMeter
from advisor.worker.loop.protocol import Training
from advisor.worker.loop.recipe import Recipe
from advisor.worker.loop.session import Session

_LEAST_BATCHES = 8
"""Of fewer, the variance between them is hardly known."""


def compare_orders(session: Session, command: CompareOrders) -> OrderComparison:
    """Measure how much gradients differ from batch to batch, as stored and shuffled.

    No weight changes. The next training builds its own model and seeds its own generators, so
    that nothing of this is left in it.
    """
    session.device.limit_allocator()
    data, size = session.task.data, command.batch_size
    stored = data.stored_batches(
        size, command.batch_count, most_read_samples=command.most_read_samples
    )
    if len(stored) < _LEAST_BATCHES:
        return OrderComparison()
    # Without the scaler: float16 gradients would overflow at first, and all orders alike lose
    # what is too small.
    recipe = Recipe(
        micro_batch_size=size,
        accumulation_steps=len(stored),
        seed=session.task.seed,
        use_grad_scaler=False,
    )
    training = session.build(recipe)
    samples = [sample for batch in stored for sample in batch]
    shuffler = Random(session.task.seed)  # noqa: S311 - for a shuffle
    orders = [shuffler.sample(samples, len(samples)) for _ in range(command.shuffle_count)]
    shuffled = [[order[i : i + size] for i in range(0, len(order), size)] for order in orders]
    return OrderComparison(
        stored=_norms(training, data, [stored]), shuffled=_norms(training, data, shuffled)
    )


def _norms(
    training: Training, data: DataSource, orders: Sequence[list[list[Any]]]
) -> GradientNorms | None:
    """Return the norms of each order; None when those of one are not finite."""
    with NoiseMeter(training, is_raw=True) as meter:
        for order in orders:
            training.accumulate(data.collate(samples) for samples in order)
            meter.take_norms()
        norms = meter.norms()
    return norms if norms and len(norms.big_squared_norms) == len(orders) else None
