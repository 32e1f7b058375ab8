"""A task that raises is begun again, ever more seldom, and it is known that it fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from bsadvise.model.commands import Command
from bsadvise.model.recommendation import State

from advisor.application.supervision import LONGEST_WAIT_S, STEADY_S, Supervisor
from advisor.domain.access import LOCAL_CALLER
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.step import Plan
from tests.support.bench import Bench, advance_until, create, end_of, until
from tests.support.fake_clock import FakeClock
from tests.support.memory_store import MemoryStore
from tests.support.scripted_planner import ScriptedPlanner


class Task:
    """Work that raises as often as it is told to, and then goes on for ever."""

    def __init__(self, failures_left: int) -> None:
        self.failures_left = failures_left
        self.begun_count = 0

    async def work(self) -> None:
        self.begun_count += 1
        if self.failures_left:
            self.failures_left -= 1
            raise RecursionError("too deep")
        await asyncio.Event().wait()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def counted() -> list[str]:
    return []


@pytest.fixture
def supervisor(clock: FakeClock, counted: list[str]) -> Supervisor:
    return Supervisor(
        sleep=clock.sleep, monotonic_s=clock.monotonic_s, count_failure=counted.append
    )


async def test_it_is_begun_again_at_a_bounded_rate_and_each_failure_is_counted(
    supervisor: Supervisor, clock: FakeClock, counted: list[str]
) -> None:
    task = Task(failures_left=10**9)
    with structlog.testing.capture_logs() as logs:
        keeping = asyncio.create_task(supervisor.keep("one", task.work))
        for _ in range(600):
            await clock.wait_for_sleepers()
            clock.advance(1.0)
            await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert 600 / LONGEST_WAIT_S <= task.begun_count <= 600 / LONGEST_WAIT_S + 12
    assert counted == ["one"] * task.begun_count
    assert 1 <= len(logs) <= 6  # The log is not filled.
    assert logs[0]["task"] == "one"
    assert logs[0]["error"] == "too deep"


async def test_one_that_fails_again_and_again_is_known_until_it_is_steady(
    supervisor: Supervisor, clock: FakeClock
) -> None:
    task = Task(failures_left=2)
    keeping = asyncio.create_task(supervisor.keep("one", task.work, is_essential=True))
    await clock.wait_for_sleepers()
    assert supervisor.failing() == ()  # Once is no trouble.
    clock.advance(1.0)
    await until(lambda: task.begun_count == 2)
    await clock.wait_for_sleepers()
    (failing,) = supervisor.failing()
    assert (failing.task, failing.is_essential) == ("one", True)
    assert failing.reason == "RecursionError: too deep"
    clock.advance(1.0)
    await until(lambda: task.begun_count == 3)
    clock.advance(STEADY_S)
    assert supervisor.failing() == ()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_one_that_returns_is_not_begun_again(supervisor: Supervisor) -> None:
    calls = []

    async def work() -> None:
        calls.append(1)

    await supervisor.keep("one", work)
    assert calls == [1]


def test_a_log_that_fails_ends_nothing(supervisor: Supervisor, counted: list[str]) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise MemoryError

    supervisor.note("one", Unprintable())
    assert counted == ["one"]


class _LosingStore(MemoryStore):
    """Fails where a run of one recommendation is ended, three times."""

    hopeless: str | None = None
    lost_count = 0

    async def renew(self, recommendation_id: str, owner: str, *, lease_s: float) -> bool:
        if recommendation_id == self.hopeless and self.lost_count < 3:
            self.lost_count += 1
            raise MemoryError
        return await super().renew(recommendation_id, owner, lease_s=lease_s)


async def test_a_run_that_is_lost_again_and_again_is_ended(tmp_path: Path) -> None:
    bench = Bench.without_threads(tmp_path)
    bench.store = store = _LosingStore(bench.clock)
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        store.hopeless = created.recommendation_id
        ending = asyncio.create_task(end_of(application, created))
        await advance_until(bench.clock, ending)
    refusal = ending.result().refusal
    assert refusal is not None
    assert "failed at this 3 times" in refusal.message
    assert store.lost_count == 3


class _EndlessPlanner(ScriptedPlanner):
    """Computes until a test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let_go = threading.Event(), threading.Event()

    def plan(self, view: LogView, running: Sequence[Command] = (), capacity: int = 1) -> Plan:
        self.begun.set()
        self.let_go.wait()
        return super().plan(view, running, capacity)


@pytest.mark.parametrize("drains", [False, True])
async def test_a_run_whose_planner_computes_for_ever_can_be_stopped(
    tmp_path: Path, *, drains: bool
) -> None:
    planner = _EndlessPlanner()
    bench = Bench(tmp_path, planner=planner)
    try:
        async with bench.running() as application:
            created = await create(application, await bench.request(), "one")
            await asyncio.to_thread(planner.begun.wait)
            if not drains:
                await application.recommendations.cancel(LOCAL_CALLER, created.recommendation_id)
                assert (await end_of(application, created)).state is State.CANCELLED
        found = await bench.store.get(created.recommendation_id)
        assert found.state is (State.QUEUED if drains else State.CANCELLED)
    finally:
        planner.let_go.set()
