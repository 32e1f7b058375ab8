"""An application over fakes, with the fakes at hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bsadvise.model.recommendation import LOCAL, Event, Recommendation, StateChanged
from bsadvise.model.request import AdviceRequest

from advisor.application.application import Application, Ports, build_application
from advisor.application.housekeeping import Keep
from advisor.application.planning_thread import PlanningThread
from advisor.application.sharing import SharingPolicy
from advisor.application.versions import Versions
from advisor.domain.access import LOCAL_CALLER
from advisor.planning.evidence.step import Planner
from advisor.planning.tuning.tuning import DEFAULT_TUNING
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.store import Store
from advisor.service.bundle_reading import unpack_bundle
from advisor.service.metrics import Metrics
from tests.support.builders import a_request, a_source
from tests.support.bundles import digest_of, make_bundle
from tests.support.fake_clock import FakeClock
from tests.support.fake_inventory import FakeInventory
from tests.support.fake_worker_pool import FakeWorkerPool
from tests.support.inline_executor import InlineExecutor
from tests.support.inline_planning import InlinePlanning
from tests.support.memory_store import MemoryStore
from tests.support.scripted_planner import ScriptedEstimatePlanner, ScriptedPlanner, answer

BUNDLE = make_bundle(model="def build_model(): ...")
LEASE_S = 30.0
VERSIONS = Versions(planner="a-digest", python="3.12.0", torch="2.13.0", optuna="4.0.0")

_TURNS_A_STEP = 20
"""Of the loop, in which a task that a clock has woken comes to rest again."""


@dataclass
class Bench:
    """What one daemon stands on; several daemons may share a store.

    Attributes:
        state_dir: The daemon's directory.
        owner: Its name on leases.
        dead_owners: Owners that the store takes for dead.
    """

    state_dir: Path
    owner: str = "daemon-1"
    planner: Planner = field(default_factory=ScriptedPlanner)
    inventory: DeviceInventory = field(default_factory=FakeInventory)
    clock: FakeClock = field(default_factory=FakeClock)
    pool: FakeWorkerPool = field(default_factory=lambda: FakeWorkerPool(answer))
    dead_owners: set[str] = field(default_factory=set)
    is_private: bool = False
    policy: SharingPolicy = field(default_factory=SharingPolicy)
    keep: Keep | None = None
    versions: Versions = VERSIONS
    planning: PlanningThread | None = None
    telemetry: Metrics = field(init=False)
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.telemetry = Metrics(self.clock.monotonic_s)
        self.store = MemoryStore(self.clock, self.dead_owners.__contains__)

    def build(self) -> Application:
        """Return an application over these fakes."""
        ports = Ports(
            store=self.store,
            pool=self.pool,
            inventory=self.inventory,
            planner=self.planner,
            estimate_planner=ScriptedEstimatePlanner(),
            clock=self.clock,
            telemetry=self.telemetry,
        )
        return build_application(
            ports,
            state_dir=self.state_dir,
            unpack=unpack_bundle,
            versions=self.versions,
            tuning=DEFAULT_TUNING,
            owner=self.owner,
            lease_s=LEASE_S,
            is_private=self.is_private,
            policy=self.policy,
            keep=self.keep,
            planning=self.planning,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Application]:
        """Run an application's loop, and drain it on leaving."""
        application = self.build()
        serving = asyncio.create_task(application.queue.serve())
        try:
            yield application
        finally:
            application.queue.drain()
            await serving

    @asynccontextmanager
    async def housekept(self, application: Application) -> AsyncIterator[None]:
        """Keep an application's house, until leaving."""
        keeping = asyncio.create_task(application.housekeeping.serve())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    @classmethod
    def without_threads(cls, state_dir: Path) -> Bench:
        """Return a bench in whose loop, the running one, nothing is left to threads."""
        asyncio.get_running_loop().set_default_executor(InlineExecutor())
        return cls(state_dir, planning=InlinePlanning())

    async def request(self, **changes: Any) -> AdviceRequest:
        """Return a request whose source is in the store."""
        await self.store.put_source(digest_of(BUNDLE), BUNDLE, principal=LOCAL)
        return a_request(source=a_source(digest=digest_of(BUNDLE)), **changes)


async def create(application: Application, request: AdviceRequest, name: str) -> Recommendation:
    """Create a recommendation under a request id."""
    return await application.recommendations.create(LOCAL_CALLER, name, request)


async def end_of(application: Application, recommendation: Recommendation) -> StateChanged:
    """Return how a recommendation ends, as its watchers learn it."""
    events = await watch(application, recommendation)
    ending = events[-1].happening
    assert isinstance(ending, StateChanged)
    return ending


async def watch(
    application: Application, recommendation: Recommendation, *, after_sequence: int = 0
) -> list[Event]:
    """Return all events after a sequence number, once the recommendation has ended."""
    watched = application.recommendations.watch(
        LOCAL_CALLER, recommendation.recommendation_id, after_sequence=after_sequence
    )
    return [event async for event in watched if isinstance(event, Event)]


async def until(is_true: Callable[[], object]) -> None:
    """Return once something has become true that no event tells of."""
    while not is_true():  # noqa: ASYNC110 - the other side has no event for it
        await asyncio.sleep(0)


async def advance_until(clock: FakeClock, *tasks: asyncio.Task[Any]) -> None:
    """Let time pass, half a second in so many turns of the loop, until one of some tasks is done.

    Only on a bench without threads: on a busy machine time would outrun them.
    """
    while not any(task.done() for task in tasks):
        for _ in range(_TURNS_A_STEP):
            await asyncio.sleep(0)
        clock.advance(0.5)
