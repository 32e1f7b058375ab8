"""The searches that are compared, and how each is run: alone, in a fresh process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from benchmarks.memory_bench.cases import Case
from benchmarks.memory_bench.found import Found, Peak

T = TypeVar("T")

OURS = "bsadvise estimate"
OURS_VERIFIED = "bsadvise recommend"
PEERS = ("lightning power", "lightning binsearch", "accelerate")
TOOLS = (OURS, OURS_VERIFIED, *PEERS)


def search(tool: str, case: Case) -> Found:
    """Let a tool search; called in a process of its own, which imports that tool alone."""
    match tool.split():
        case ["bsadvise", command]:
            from benchmarks.memory_bench import ours  # noqa: PLC0415

            return ours.estimate(case) if command == "estimate" else ours.recommend(case)
        case ["lightning", mode]:
            from benchmarks.memory_bench import finder  # noqa: PLC0415

            return finder.search(case, mode)
        case ["accelerate"]:
            from benchmarks.memory_bench import decorator  # noqa: PLC0415

            return decorator.search(case)
    raise ValueError(f"no such tool: {tool}")


def true_max(case: Case) -> int:
    """Return the largest batch of a case that fits."""
    from benchmarks.memory_bench import truth  # noqa: PLC0415

    return truth.true_max(case)


def real_peak(case: Case, batch_size: int) -> Peak:
    """Return what training at a size that fits takes."""
    from benchmarks.memory_bench import truth  # noqa: PLC0415

    return truth.real_peak(case, batch_size)


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """Call a function in a new process, and return what it returns.

    What one search leaves in memory, or imports, must not bear on the next.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
