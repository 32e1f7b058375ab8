"""Accelerate's decorator, which runs a training function with ever smaller batches."""

from __future__ import annotations

import time

from accelerate.utils import find_executable_batch_size

from benchmarks.memory_bench.card import Card, Tally
from benchmarks.memory_bench.cases import WARM_UP, Case
from benchmarks.memory_bench.found import Found
from benchmarks.memory_bench.task import load_task

STARTING_BATCH_SIZE = 8192
"""Where Lightning's search ends: neither knows more of the model than the other."""


def search(case: Case) -> Found:
    """Return the decorator's result for a case."""
    search_from(64, WARM_UP)
    return search_from(STARTING_BATCH_SIZE, case)


def search_from(starting_batch_size: int, case: Case) -> Found:
    """Return the decorator's result for a case from a starting size."""
    tally = Tally()
    begun_s = time.perf_counter()
    task = load_task(case.path)

    # Builds the model anew for each size, as its documentation has it.
    def train(batch_size: int) -> int:
        with Card(task, case.limit_bytes, tally) as card:
            card.train(batch_size)
        return batch_size

    size = find_executable_batch_size(train, starting_batch_size=starting_batch_size)()
    return Found(
        batch_size=size,
        sizes_tried=tuple(tally.sizes),
        run_count=len(tally.sizes),
        samples=tally.samples,
        out_of_memory_count=tally.out_of_memory_count,
        search_s=time.perf_counter() - begun_s,
    )
