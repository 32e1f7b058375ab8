"""Finds out whether memory grows from batch to batch, as where the user's code keeps tensors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from gc import collect

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.units import format_bytes

from advisor.worker.loop.allocation_tracker import AllocationTracker, tracking
from advisor.worker.loop.observers import StepObserver
from advisor.worker.loop.protocol import Training

BATCHES = 4
"""Times that a batch is trained on, at least 2. What is made once is there after the first."""

_LEAST_BYTES = 4 << 10
"""Bytes from one time to the next that count as growth: a number that is kept takes 512."""


def memory_growth(
    training: Training, train_on_batch: Callable[[Sequence[StepObserver]], object]
) -> tuple[Caveat, ...]:
    """Return a caveat where each batch leaves more memory taken than the one before.

    Args:
        training: Whose memory is counted.
        train_on_batch: Trains on one and the same batch, and tells the observers.
    """
    model, live_bytes = training.model, list[int]()
    device = next(model.parameters()).device
    tracker = AllocationTracker(model, training.optimizer, device)
    with tracking(tracker):
        for _ in range(BATCHES):
            train_on_batch([tracker])
            collect()  # What lies in a reference cycle is not kept.
            live_bytes.append(tracker.live_bytes)
    grown_bytes = min(after - before for before, after in itertools.pairwise(live_bytes))
    if grown_bytes < _LEAST_BYTES:
        return ()
    return (
        Caveat(
            code=CaveatCode.MEMORY_GROWS,
            text=f"Memory grows: each batch left {format_bytes(grown_bytes)} more taken than the "
            f"one before, {BATCHES - 1} times in a row. Something keeps tensors from step to step, "
            "such as a list that forward() or a hook appends to: empty it at each step. A long "
            "training runs out of memory, and the peaks here are of its first steps.",
        ),
    )
