"""Answers in a call what fits on a device: no lease, nothing kept but the time that it took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from bsadvise.model.advice import MemoryEstimate, Refusal, RefusalCode
from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log, Measurement, Outcome
from bsadvise.model.request import AdviceRequest

from advisor.application.planning_thread import PlanningThread, PlanningTooLong
from advisor.application.sharing import InFlight, SharingPolicy
from advisor.application.sources import check_source
from advisor.application.trace_cache import TraceCache, is_lasting
from advisor.application.turns import Turns
from advisor.application.validation import check_budget, check_estimate, check_python, resolve
from advisor.application.workspace import Workspace
from advisor.domain.access import Caller
from advisor.domain.errors import NoAnswer, QuotaExceeded, StoreUnavailable
from advisor.planning.evidence.step import EstimatePlanner
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.store import Store
from advisor.ports.telemetry import Telemetry
from advisor.ports.worker_pool import DeviceLost, WorkerPool, WorkerSession

_OVERTIME = 4.0
"""Budgets that an estimate may take in all, as a recommendation may."""

_LEAST_WALL_LIMIT_S = 120.0
"""Loading torch, the task and its data takes time, however small the budget."""

_LOG = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Predicts memory. Needs no lease, since nothing is run on the device itself.

    Estimates take turns between principals, and each is charged like a device's time.

    Attributes:
        pool: Where commands are carried out.
        inventory: Where devices are found.
        planner: What decides.
        store: Where sources are kept.
        workspace: The directory shared with workers.
        clock: The time.
        telemetry: Is told what is done.
        turns: Lets some estimates at a time through.
        policy: How the daemon is shared.
        in_flight: How many each principal may wait for.
        planning: Where the planner is called.
        pythons: The interpreters that requests may name; None for any.
        trace_cache: Outcomes of earlier estimates for devices that are not attached.
    """

    pool: WorkerPool
    inventory: DeviceInventory
    planner: EstimatePlanner
    store: Store
    workspace: Workspace
    clock: Clock
    telemetry: Telemetry
    turns: Turns
    policy: SharingPolicy
    in_flight: InFlight
    planning: PlanningThread
    pythons: Collection[Path] | None = None
    trace_cache: TraceCache = field(default_factory=TraceCache)

    async def estimate(self, caller: Caller, request: AdviceRequest) -> MemoryEstimate:
        """Return what fits. Cancelling the task that waits here ends the work.

        Raises:
            InvalidRequest: Something is wrong with the request; it names all that is.
            NotFound: The source was not uploaded.
            NoAnswer: There is none; most often the model file is at fault.
            QuotaExceeded: The caller waits for too many already, or has used up their time.
        """
        limits = self.policy.limits_of(caller)
        device = await resolve(
            request,
            self.inventory,
            *check_estimate(request),
            *check_python(request, self.pythons),
            *check_budget(request, limits.max_estimate_budget_s),
        )
        await check_source(self.store, caller, request.source)
        with self.in_flight.hold(caller.principal) as hold:
            hold.add(1)
            used_s = await self._used_s(caller)
            async with self.turns.turn(caller.principal, used_s), self._charged(caller.principal):
                return await self._answer(caller.principal, request, device)

    async def _used_s(self, caller: Caller) -> float:
        used_s = await self.store.used_device_s(caller.principal)
        limit_s = self.policy.limits_of(caller).device_s_per_day
        if limit_s is not None and used_s >= limit_s:
            raise QuotaExceeded(
                caller.principal,
                "device_s_per_day",
                limit_s,
                f"your {limit_s:g} s of devices within 24 hours, in which estimates count as well, "
                "are used up; ask again later",
            )
        return used_s

    @asynccontextmanager
    async def _charged(self, principal: str) -> AsyncIterator[None]:
        begun_s = self.clock.monotonic_s()
        try:
            yield
        finally:
            try:
                await self.store.charge(principal, self.clock.monotonic_s() - begun_s)
            except StoreUnavailable as error:
                _LOG.warning("an estimate is not charged", principal=principal, error=str(error))

    async def _answer(
        self, principal: str, request: AdviceRequest, device: Device
    ) -> MemoryEstimate:
        limit_s = max(_LEAST_WALL_LIMIT_S, _OVERTIME * request.budget_s)
        wall = asyncio.timeout(limit_s)
        try:
            async with wall:
                return await self._measure_in_session(principal, request, device)
        except TimeoutError as error:
            if not wall.expired():
                raise
            message = (
                f"There was no estimate within {limit_s:g} s. "
                "The model file or its data may hang; else allow a larger --budget."
            )
            raise NoAnswer(Refusal(code=RefusalCode.TIMED_OUT, message=message)) from error

    async def _measure_in_session(
        self, principal: str, request: AdviceRequest, device: Device
    ) -> MemoryEstimate:
        async with AsyncExitStack() as stack:
            scratch = await stack.enter_async_context(self.workspace.scratch_dir())
            job = await self.workspace.job(request, found=(device,), checkpoint_dir=scratch)
            session = await stack.enter_async_context(self.pool.open(job))
            try:
                partition = self.policy.cache_partition(principal)
                known = self.trace_cache.known(partition, request, device)
                return await self._measure(session, request, device, known)
            except DeviceLost as lost:
                raise NoAnswer(Refusal(code=RefusalCode.DEVICE, message=str(lost))) from lost
            except PlanningTooLong as error:
                message = f"bsadvise itself failed (please report it): {error}, and was ended."
                raise NoAnswer(Refusal(code=RefusalCode.INTERNAL, message=message)) from error

    async def _measure(
        self,
        session: WorkerSession,
        request: AdviceRequest,
        device: Device,
        known: dict[Command, Outcome],
    ) -> MemoryEstimate:
        log: Log = ()
        while True:
            step = await self.planning.call(self.planner.next_step, request, device, log)
            if isinstance(step, MemoryEstimate):
                return step
            if isinstance(step, Refusal):
                raise NoAnswer(step)
            begun_s = self.clock.monotonic_s()
            outcome = known.get(step) or await self._run(session, step)
            if is_lasting(outcome):
                known[step] = outcome
            wall_s = self.clock.monotonic_s() - begun_s
            log = (*log, Measurement(command=step, outcome=outcome, wall_s=wall_s))

    async def _run(self, session: WorkerSession, command: Command) -> Outcome:
        with self.telemetry.measuring(command) as note_outcome:
            result = await session.run(command)
            note_outcome(result.outcome)
            return result.outcome
