"""The true largest batch that trains on a card, by bisection with real steps."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from benchmarks.memory_bench.card import Card, Tally
from benchmarks.memory_bench.cases import Case
from benchmarks.memory_bench.found import Peak
from benchmarks.memory_bench.task import load_task

_FIRST_SIZE = 64


def bisect(fits: Callable[[int], bool], first: int = _FIRST_SIZE) -> int:
    """Return the largest size that fits, to the sample; 0 when none does.

    Args:
        fits: Whether a size does. No size fits above one that does not.
        first: Where to begin.
    """
    low, high = 0, first
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def true_max(case: Case) -> int:
    """Return the largest batch of a case that three plain training steps survive."""
    task = load_task(case.path)

    def fits(batch_size: int) -> bool:
        gc.collect()  # Memory of a failed step in reference cycles must not be counted here.
        with Card(task, case.limit_bytes, Tally()) as card:
            try:
                card.train(batch_size)
            except torch.OutOfMemoryError:
                return False
        return True

    return bisect(fits)


def real_peak(case: Case, batch_size: int) -> Peak:
    """Return what training at a size that fits takes."""
    with Card(load_task(case.path), case.limit_bytes, Tally()) as card:
        card.train(batch_size)
    return Peak(batch_size=batch_size, peak_bytes=card.peak_bytes)
