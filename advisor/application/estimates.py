"""Answers at once what fits on a device: no queue, no lease, nothing kept."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bsadvise.model.advice import MemoryEstimate, Refusal, RefusalCode
from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log, Measurement, Outcome
from bsadvise.model.request import AdviceRequest

from advisor.application.planning_thread import PlanningThread, PlanningTooLong
from advisor.application.sharing import InFlight
from advisor.application.sources import check_source
from advisor.application.trace_cache import TraceCache, is_lasting
from advisor.application.validation import check_python, resolve
from advisor.application.workspace import Workspace
from advisor.domain.access import Caller
from advisor.domain.errors import NoAnswer
from advisor.planning.evidence.step import EstimatePlanner
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.store import Store
from advisor.ports.telemetry import Telemetry
from advisor.ports.worker_pool import DeviceLost, WorkerPool, WorkerSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Predicts memory. Needs no lease, since nothing is run on the device itself.

    Attributes:
        pool: Where commands are carried out.
        inventory: Where devices are found.
        planner: What decides.
        store: Where sources are kept.
        workspace: The directory shared with workers.
        clock: The time.
        telemetry: Is told what is done.
        slots: How many estimates may be made at a time.
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
    slots: asyncio.Semaphore
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
            QuotaExceeded: The caller waits for too many already.
        """
        device = await resolve(request, self.inventory, *check_python(request, self.pythons))
        await check_source(self.store, caller, request.source)
        async with AsyncExitStack() as stack:
            stack.enter_context(self.in_flight.hold(caller.principal)).add(1)
            await stack.enter_async_context(self.slots)
            scratch = stack.enter_context(self.workspace.scratch_dir())
            job = await self.workspace.job(request, found=(device,), checkpoint_dir=Path(scratch))
            session = await stack.enter_async_context(self.pool.open(job))
            try:
                return await self._measure(session, request, device)
            except DeviceLost as lost:
                raise NoAnswer(Refusal(code=RefusalCode.DEVICE, message=str(lost))) from lost
            except PlanningTooLong as error:
                message = f"The advisor failed: {error}, and was ended; please report it."
                raise NoAnswer(Refusal(code=RefusalCode.INTERNAL, message=message)) from error

    async def _measure(
        self, session: WorkerSession, request: AdviceRequest, device: Device
    ) -> MemoryEstimate:
        log: Log = ()
        known = self.trace_cache.known(request, device)
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
