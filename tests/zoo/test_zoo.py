"""Whatever a model file does, its author hears what and where, and the daemon does not notice."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import tracemalloc
from pathlib import Path

import psutil
import pytest
from bsadvise.model.measurements import Failed, FaultCode, Outcome, OutOfMemory, TimedOut

from advisor.pools.local import LocalPool
from tests.support.messages import ours_in
from tests.support.zoo import MODELS, drive
from tests.zoo.table import NEEDS_SANDBOX, ZOO, expected_of

HANGING = [name for name, expected in ZOO.items() if expected.kind is TimedOut]
OTHERS = [name for name in ZOO if name not in HANGING]

# Those that end processes, take resources, or leave something behind; all within a second.
NASTY = (
    "leaves_children", "exits", "crashes", "closes_descriptors", "fork_bomb", "fills_scratch",
    "binary_output", "raises_in_loss", "takes_memory",
)  # fmt: skip

VISITED = tuple(ZOO) if os.environ.get("BSADVISE_ZOO") == "whole" else NASTY

MEMORY_SLACK_BYTES = 16 << 10
"""What caches may still grow by from one round to the next; one session's objects are 6 KiB."""


def check(name: str, outcome: Outcome, sandbox: str) -> None:
    """Hold an outcome against the table."""
    expected = expected_of(name, sandbox)
    assert isinstance(outcome, expected.kind), outcome
    if isinstance(outcome, Failed):
        fault = outcome.fault
        assert fault.code is not FaultCode.WORKER
        assert (fault.hook, fault.line) == (expected.hook, expected.line)
        assert fault.file in {None, f"{name}.py"}
        assert ours_in(fault.traceback or "") == []
        text = str(fault)
    elif isinstance(outcome, TimedOut):
        assert outcome.hook == expected.hook
        # A loop without a body is on either of its two lines.
        assert expected.line is not None
        assert outcome.line in {expected.line - 1, expected.line}
        assert outcome.file == f"{name}.py"
        text = str(outcome.place)
    else:
        text = outcome.message if isinstance(outcome, OutOfMemory) else repr(outcome)
    assert ours_in(text) == []
    for words in expected.words:
        assert words in text


async def outcome_of(name: str, pool: LocalPool, state_dir: Path) -> Outcome:
    """Return what comes of a file, within the first time limit in which it is as expected."""
    expected = expected_of(name, pool.sandbox)
    *shorter, longest = expected.limits_s
    for limit_s in shorter:
        outcome = await drive(pool, name, state_dir, limit_s)
        if isinstance(outcome, TimedOut) and outcome.hook == expected.hook:
            return outcome
    return await drive(pool, name, state_dir, longest)


def skip_without_sandbox(name: str, pool: LocalPool) -> None:
    if name in NEEDS_SANDBOX and pool.sandbox == "off":
        pytest.skip("this machine offers no sandbox")


def test_every_file_is_in_the_table() -> None:
    assert ZOO.keys() == {path.stem for path in MODELS.glob("*.py")}
    assert len(ZOO) >= 60


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", OTHERS)
async def test_a_file_ends_as_it_must(name: str, pool: LocalPool, state_dir: Path) -> None:
    skip_without_sandbox(name, pool)
    check(name, await outcome_of(name, pool, state_dir), pool.sandbox)


@pytest.mark.asyncio(loop_scope="session")
async def test_files_that_hang_are_stopped(pool: LocalPool, state_dir: Path) -> None:
    outcomes = await asyncio.gather(*(outcome_of(name, pool, state_dir) for name in HANGING))
    for name, outcome in zip(HANGING, outcomes, strict=True):
        check(name, outcome, pool.sandbox)


def holdings() -> tuple[int, list[str], list[str]]:
    """Return this process's descriptors, and by name its descendants and threads."""
    gc.collect()
    process = psutil.Process()
    # Not by number: the namespace of the next worker is a new process each time.
    children = sorted(child.name() for child in process.children(recursive=True))
    # The loop's executor starts as many as it happens to need, up to a number of its own.
    threads = sorted(t.name for t in threading.enumerate() if not t.name.startswith("asyncio_"))
    return process.num_fds(), children, threads


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.timeout(900)
async def test_nothing_stays(pool: LocalPool, state_dir: Path) -> None:
    names = [name for name in VISITED if name not in NEEDS_SANDBOX or pool.sandbox != "off"]

    async def visit() -> None:
        for name in names:
            check(name, await outcome_of(name, pool, state_dir), pool.sandbox)

    tracemalloc.start()
    try:
        await visit()  # Starts the fork server, and fills caches.
        before, kept_bytes = holdings(), tracemalloc.get_traced_memory()[0]
        await visit()
        assert holdings() == before
        assert tracemalloc.get_traced_memory()[0] < kept_bytes + MEMORY_SLACK_BYTES
    finally:
        tracemalloc.stop()
