"""Ports that raise at one of their calls, counted over all of them, and do their work else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bsadvise.model.commands import Command
from bsadvise.model.device import Device

from advisor.ports.store import Store
from advisor.ports.worker_pool import CommandResult, WorkerJob, WorkerSession
from tests.support.fake_clock import FakeClock
from tests.support.fake_inventory import FakeInventory
from tests.support.fake_worker_pool import FakeWorkerPool
from tests.support.memory_store import MemoryStore


@dataclass
class Failpoint:
    """Where an error is raised.

    Attributes:
        error: What is raised.
        at: The number of the call that raises, from 1; 0 for none.
        count: Calls so far.
        place: Which method raised.
    """

    error: Callable[[], Exception]
    at: int = 0
    count: int = 0
    place: str | None = None

    def pass_by(self, place: str) -> None:
        """Count a call, and raise where it is the one."""
        self.count += 1
        if self.count == self.at:
            self.place = place
            raise self.error()


def _failing(name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def call(self: Any, *arguments: Any, **named: Any) -> Any:
        self.failpoint.pass_by(name)
        return await method(self, *arguments, **named)

    return call


class _FailingStore(MemoryStore):
    def __init__(self, clock: FakeClock, failpoint: Failpoint) -> None:
        super().__init__(clock)
        self.failpoint = failpoint


_METHODS: Mapping[str, Callable[..., Awaitable[Any]]] = {
    name: _failing(name, getattr(MemoryStore, name))
    for name in Store.__abstractmethods__ - {"close"}
}
FailingStore: type[_FailingStore] = type("FailingStore", (_FailingStore,), dict(_METHODS))


class FailingInventory(FakeInventory):
    """Devices that cannot be listed at one of the calls."""

    def __init__(self, failpoint: Failpoint, *devices: Device) -> None:
        super().__init__(*devices)
        self._failpoint = failpoint

    def find(self, name: str) -> Device:
        self._failpoint.pass_by("find")
        return super().find(name)


class FailingPool(FakeWorkerPool):
    """Fails to open a session, to run a command, or to clean."""

    failpoint: Failpoint

    @asynccontextmanager
    async def open(self, job: WorkerJob) -> AsyncIterator[WorkerSession]:
        self.failpoint.pass_by("open")
        opened: AbstractAsyncContextManager[WorkerSession] = super().open(job)
        async with opened as session:
            yield _FailingSession(session, self.failpoint)
        self.failpoint.pass_by("leave")

    async def remove_leftovers(self) -> int:
        self.failpoint.pass_by("remove_leftovers")
        return await super().remove_leftovers()


class _FailingSession(WorkerSession):
    def __init__(self, session: WorkerSession, failpoint: Failpoint) -> None:
        self._session = session
        self._failpoint = failpoint

    async def run(self, command: Command) -> CommandResult:
        self._failpoint.pass_by("run")
        return await self._session.run(command)


class FailingClock(FakeClock):
    """Sleeps that fail: a wait of the daemon's is one of its awaits too."""

    failpoint: Failpoint

    async def sleep(self, duration_s: float) -> None:
        self.failpoint.pass_by("sleep")
        await super().sleep(duration_s)
