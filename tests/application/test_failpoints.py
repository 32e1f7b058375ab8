"""Whatever raises wherever the daemon waits for something, its loops go on and answer others."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from bsadvise.model.recommendation import State

from advisor.application.application import Application
from advisor.application.housekeeping import ROUND_S
from advisor.application.supervision import STEADY_S
from advisor.service.health import HealthReporter
from tests.support.bench import Bench, create, end_of
from tests.support.failing_ports import (
    FailingClock,
    FailingInventory,
    FailingPool,
    FailingStore,
    Failpoint,
)
from tests.support.inline_executor import InlineExecutor
from tests.support.inline_planning import InlinePlanning
from tests.support.scripted_planner import answer

ERRORS: dict[str, Callable[[], Exception]] = {
    "OSError": lambda: OSError(errno.EMFILE, "too many open files"),
    "RecursionError": lambda: RecursionError("maximum recursion depth exceeded"),
    "MemoryError": MemoryError,
    "sqlite3.OperationalError": lambda: sqlite3.OperationalError("database or disk is full"),
}

_TURNS = 40
"""Of the loop, in which what a clock has woken comes to rest again."""

_STEP_S = 5.0


class Loops:
    """The loops of a daemon over ports that fail, and time that passes for them."""

    def __init__(self, state_dir: Path, failpoint: Failpoint) -> None:
        self.failpoint = failpoint
        clock = FailingClock()
        clock.failpoint = failpoint
        pool = FailingPool(answer)
        pool.failpoint = failpoint
        self.bench = Bench(
            state_dir,
            clock=clock,
            pool=pool,
            inventory=FailingInventory(failpoint),
            planning=InlinePlanning(),  # A thread would not keep to the turns.
        )
        self.bench.store = FailingStore(clock, failpoint)
        self.application: Application = self.bench.build()
        self.reporter = HealthReporter(
            self.application, self.bench.telemetry, service_names=(), without_store=frozenset()
        )

    def begin(self) -> list[asyncio.Task[None]]:
        """Begin the loops, as the daemon does."""
        return [
            asyncio.create_task(self.application.queue.serve()),
            asyncio.create_task(self.application.housekeeping.serve()),
            asyncio.create_task(self.reporter.run()),
        ]

    async def pass_time(self, duration_s: float, step_s: float = _STEP_S) -> None:
        """Let time pass."""
        for _ in range(round(duration_s / step_s)):
            await self.rest()
            self.bench.clock.advance(step_s)
        await self.rest()

    async def rest(self) -> None:
        """Let all that is to do now be done."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)


async def _answer_two(loops: Loops) -> int:
    """Have one job answered while a call fails, and another one afterwards.

    Returns:
        How many calls there were until the first had come to rest.
    """
    failpoint = loops.failpoint
    # What asks for the first one is its client, who is told of an error and may ask again.
    at, failpoint.at = failpoint.at, 0
    first = await create(loops.application, await loops.bench.request(seed=1), "first")
    failpoint.count, failpoint.at = 0, at
    tasks = loops.begin()
    await loops.pass_time(15)
    await loops.pass_time(ROUND_S, step_s=ROUND_S / 2)  # Another round, now that nothing runs.
    call_count, failpoint.at = failpoint.count, 0
    # The first one has an end as well: it is answered, or says that the daemon failed.
    await loops.pass_time(60)
    found = await loops.bench.store.get(first.recommendation_id)
    assert found.state in {State.SUCCEEDED, State.FAILED}, (failpoint.place, found.state)

    second = await create(loops.application, await loops.bench.request(seed=2), "second")
    ending = asyncio.create_task(end_of(loops.application, second))
    await loops.pass_time(10)
    assert ending.done(), failpoint.place
    assert ending.result().state is State.SUCCEEDED, failpoint.place

    before = failpoint.count
    await loops.pass_time(ROUND_S + STEADY_S, step_s=STEADY_S)
    assert failpoint.count > before
    assert loops.application.supervisor.failing() == ()
    assert not any(task.done() for task in tasks), failpoint.place
    loops.application.queue.drain()
    await tasks[0]
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks[1:], return_exceptions=True)
    return call_count


@pytest.mark.parametrize("kind", ERRORS)
async def test_an_error_at_any_await_costs_no_more_than_its_own_job(
    tmp_path: Path, kind: str
) -> None:
    asyncio.get_running_loop().set_default_executor(InlineExecutor())
    places: set[str | None] = set()
    with structlog.testing.capture_logs():
        call_count = await _answer_two(Loops(tmp_path / "0", Failpoint(error=ERRORS[kind])))
        for number in range(1, call_count + 1):
            failpoint = Failpoint(error=ERRORS[kind], at=number)
            await _answer_two(Loops(tmp_path / f"{number}", failpoint))
            places.add(failpoint.place)
    assert places >= {
        *("claim", "renew", "append", "finish", "log", "find_answer"),
        *("prune", "find_in_use", "compact", "check", "count_unfinished"),
        *("open", "run", "leave", "remove_leftovers", "find", "sleep"),
    }
