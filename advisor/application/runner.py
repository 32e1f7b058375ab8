"""Carries one claimed recommendation from its log to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from bsadvise.model.advice import Advice, Refusal, RefusalCode
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log, Measurement
from bsadvise.model.recommendation import (
    CommandStarted,
    Measured,
    Recommendation,
    State,
    StateChanged,
)
from bsadvise.model.request import PriorScope

from advisor.application.cache import Fingerprints
from advisor.application.cancellation import (
    Cancellation,
    Stopped,
    StopReason,
    run_until_stopped,
    within,
)
from advisor.application.earlier_work import EarlierWork
from advisor.application.event_bus import EventBus
from advisor.application.lease import keep_lease
from advisor.application.log_size import is_full, kept_bytes
from advisor.application.planning_thread import PlanningThread, PlanningTooLong
from advisor.application.recall import Recall
from advisor.application.run import Run
from advisor.application.supervision import Supervisor
from advisor.application.workspace import Workspace
from advisor.domain.errors import LeaseLost, NotFound, RecordUnreadable, StoreUnavailable
from advisor.planning.evidence.budget import wall_left_s, within_wall_limit
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.step import Planner
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.store import Claim, Store
from advisor.ports.telemetry import Telemetry
from advisor.ports.worker_pool import DeviceLost, WorkerPool, WorkerSession

_LOG = structlog.stdlib.get_logger(__name__)

Devices = tuple[Device, ...]

_STOP_LIMIT_S = 5.0
"""For the best answer so far of a run that is cancelled; planners take a fraction of a second."""

_LONGEST_LEASE_WAIT_S = 1.0
"""Before a renewal that failed is tried again: a lease runs out meanwhile."""

_LATE = (
    "Measuring took many times the budget, and there is nothing to say yet. "
    "The model file or its data may hang; else allow a larger --budget."
)
_FULL = (
    "More was measured than one recommendation may keep, and there is nothing to say yet. "
    "Ask for a smaller --budget or fewer trials."
)

_OWN_FAULT = "bsadvise itself failed (please report it); the daemon's log says how."
"""The client of a private daemon adds where that is."""

_NO_SANDBOX = Caveat(
    code=CaveatCode.NO_SANDBOX,
    text="The model file ran without a sandbox: it could read and change all that the daemon can.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Asks the planner, measures, appends; until there is an answer or the run is cancelled.

    All that it knows is in the store, so that a runner may die at any point and another one
    goes on: at worst the command that was under way is run again.

    Attributes:
        store: Where logs and states are kept.
        pool: Where commands are carried out.
        inventory: Where devices are found.
        planner: What decides.
        clock: The time.
        event_bus: Wakes those who watch.
        workspace: The directory shared with workers.
        recall: What earlier answers teach.
        telemetry: Is told what is done.
        fingerprints: Makes the keys of answers.
        supervisor: Keeps leases renewed.
        owner: This daemon's name on its leases.
        lease_s: Seconds of a lease.
        planning: Where the planner is called.
    """

    store: Store
    pool: WorkerPool
    inventory: DeviceInventory
    planner: Planner
    clock: Clock
    event_bus: EventBus
    workspace: Workspace
    recall: Recall
    telemetry: Telemetry
    fingerprints: Fingerprints
    supervisor: Supervisor
    owner: str
    lease_s: float
    planning: PlanningThread

    async def run(self, claim: Claim, cancellation: Cancellation) -> None:
        """Work on a recommendation whose lease this daemon holds, and end the lease.

        Returns without writing to the store when the lease is lost or the store stays away:
        then the recommendation belongs to whoever claims it next.
        """
        recommendation = claim.recommendation
        log = _LOG.bind(recommendation_id=recommendation.recommendation_id)
        self.event_bus.publish(recommendation.recommendation_id)  # It is RUNNING.
        if recommendation.cancel_requested:
            cancellation.request(StopReason.CANCEL)
        run = self._new_run(claim, cancellation)
        waited_s = self.clock.now_s() - recommendation.created_at_s
        self.telemetry.leased(claim.device_ids, waited_s=max(0.0, waited_s))
        state: State | None = None
        heartbeat = asyncio.create_task(
            self.supervisor.keep(
                "lease",
                lambda: keep_lease(run),
                is_essential=True,
                longest_wait_s=_LONGEST_LEASE_WAIT_S,
            )
        )
        try:
            with self.telemetry.running(recommendation.recommendation_id):
                change = await self._carry_out(run)
            await run.with_retries(lambda: self.finish(run.recommendation, change))
            state = change.state
            log.info("recommendation left", state=state.value)
        except LeaseLost:
            log.warning("lease lost")
        except StoreUnavailable:
            log.exception("recommendation abandoned: the store is not available")
        finally:
            self.telemetry.released(claim.device_ids, state)
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)

    async def finish(self, recommendation: Recommendation, change: StateChanged) -> None:
        """Move a recommendation on, and remove what nothing will ask for again.

        Raises:
            LeaseLost: This daemon does not hold it.
        """
        recommendation_id = recommendation.recommendation_id
        checkpoints: Path | None = None
        is_interrupted = change.refusal and change.refusal.code is RefusalCode.INTERRUPTED
        if change.state.is_final and not is_interrupted:
            # While the lease surely holds: once it has ended, an equal request may begin and
            # keep its own checkpoints there.
            await self.store.renew(recommendation_id, self.owner, lease_s=self.lease_s)
            checkpoints = await asyncio.to_thread(self.workspace.set_aside, recommendation)
        await self.store.finish(recommendation_id, self.owner, change)
        self.event_bus.publish(recommendation_id)
        if checkpoints is not None:  # Now that the devices are free: it may hold a lot.
            await asyncio.to_thread(self.workspace.remove, checkpoints)

    def _new_run(self, claim: Claim, cancellation: Cancellation) -> Run:
        return Run(
            recommendation=claim.recommendation,
            device_ids=claim.device_ids,
            cancellation=cancellation,
            store=self.store,
            clock=self.clock,
            event_bus=self.event_bus,
            owner=self.owner,
            lease_s=self.lease_s,
        )

    async def _carry_out(self, run: Run) -> StateChanged:
        try:
            return await self._search_or_stop(run)
        except (LeaseLost, StoreUnavailable):
            raise
        except RecordUnreadable as error:
            _LOG.exception("recommendation failed", recommendation_id=run.recommendation_id)
            return _refused(RefusalCode.INTERNAL, f"{error}.")
        except PlanningTooLong as error:
            _LOG.exception("planning ended", recommendation_id=run.recommendation_id)
            return _refused(
                RefusalCode.INTERNAL,
                f"bsadvise itself failed (please report it): {error}, and was ended. What was "
                "measured is kept.",
            )
        except Exception:  # noqa: BLE001 - the trouble of one must not end the daemon's others
            _LOG.exception("recommendation failed", recommendation_id=run.recommendation_id)
            return _refused(RefusalCode.INTERNAL, _OWN_FAULT)

    async def _search_or_stop(self, run: Run) -> StateChanged:
        try:
            return await run_until_stopped(self._search(run), run.cancellation)
        except Stopped as stopped:
            return await self._stop(run, stopped.reason)
        except DeviceLost as lost:
            return _refused(RefusalCode.DEVICE, str(lost))

    async def _search(self, run: Run) -> StateChanged:
        try:
            devices = await asyncio.to_thread(self._find_devices, run.device_ids)
        except NotFound as error:
            return _refused(RefusalCode.DEVICE, str(error))
        earlier = EarlierWork(
            store=self.store,
            workspace=self.workspace,
            fingerprints=self.fingerprints,
            recall=self.recall,
            clock=self.clock,
        )
        await earlier.restart_if_outdated(run, devices[0])
        log = await run.log()
        if not log:
            cached = await earlier.cached_advice(run, devices[0])
            if cached is not None:
                return StateChanged(state=State.SUCCEEDED, advice=cached)
        run.log_bytes = sum(map(kept_bytes, log))
        for measurement in await earlier.interrupted_measurements(run, log):
            log = (await self._record(run, log, measurement)).log
        if not log and run.recommendation.request.prior is PriorScope.PRINCIPAL:
            log = (await self._record(run, log, await earlier.recalled(run))).log
        return await self._follow_plan(run, devices, self._read(run.recommendation, log))

    def _find_devices(self, device_ids: Sequence[str]) -> Devices:
        return tuple(self.inventory.find(device_id) for device_id in device_ids)

    async def _follow_plan(self, run: Run, devices: Devices, view: LogView) -> StateChanged:
        async with AsyncExitStack() as stack:
            session: WorkerSession | None = None
            while True:
                plan = await self.planning.call(self.planner.plan, view)
                if isinstance(plan, Advice):
                    advice = self._signed(plan, run.recommendation)
                    return StateChanged(state=State.SUCCEEDED, advice=advice)
                if isinstance(plan, Refusal):
                    return StateChanged(state=State.FAILED, refusal=plan)
                left_s = wall_left_s(view)
                if left_s <= 0:
                    return await self._end_early(run.recommendation, view, _LATE)
                if is_full(len(view.log), run.log_bytes):
                    return await self._end_early(run.recommendation, view, _FULL)
                command = within_wall_limit(plan.commands[0], left_s)
                if session is None:
                    session = await self._open_session(stack, run.recommendation, devices)
                await run.append(CommandStarted(command=command))
                measurement = await self._measure(session, command, run)
                view = await self._record(run, view.log, measurement)

    async def _end_early(
        self, recommendation: Recommendation, view: LogView, reason: str
    ) -> StateChanged:
        best = await self._best_so_far(recommendation, view)
        if best is not None:
            return StateChanged(state=State.SUCCEEDED, advice=best)
        return _refused(RefusalCode.TIMED_OUT, reason)

    async def _open_session(
        self, stack: AsyncExitStack, recommendation: Recommendation, devices: Devices
    ) -> WorkerSession:
        job = await self.workspace.job(
            recommendation.request,
            found=devices,
            checkpoint_dir=await asyncio.to_thread(
                self.workspace.make_checkpoint_dir, recommendation
            ),
        )
        return await stack.enter_async_context(self.pool.open(job))

    async def _measure(self, session: WorkerSession, command: Command, run: Run) -> Measurement:
        begun_s = self.clock.monotonic_s()
        with self.telemetry.measuring(command, run.recommendation_id) as note_outcome:
            result = await session.run(command)
            note_outcome(result.outcome)
        measurement = Measurement(
            command=command,
            outcome=result.outcome,
            wall_s=self.clock.monotonic_s() - begun_s,
            drift_bytes=result.context.drift_bytes or 0,
            mean_power_w=result.context.mean_power_w,
        )
        self.telemetry.measured(measurement)
        return measurement

    async def _record(self, run: Run, log: Log, measurement: Measurement) -> LogView:
        view = self._read(run.recommendation, (*log, measurement))
        best = await self._best_so_far(run.recommendation, view)
        measured = Measured(measurement=measurement, best=best, remaining_s=view.remaining_s)
        await run.append(measured)
        run.log_bytes += kept_bytes(measured)
        return view

    def _read(self, recommendation: Recommendation, log: Log) -> LogView:
        return self.planner.read(recommendation.request, (recommendation.device,), log)

    async def _best_so_far(self, recommendation: Recommendation, view: LogView) -> Advice | None:
        best = await self.planning.call(self.planner.best_so_far, view)
        return best and self._signed(best, recommendation)

    def _signed(self, advice: Advice, recommendation: Recommendation) -> Advice:
        """Return advice with what the planner cannot know of how it came about."""
        sandbox = self.pool.sandbox
        caveats = (*advice.caveats, _NO_SANDBOX) if sandbox == "off" else advice.caveats
        return replace(
            advice, fingerprint=recommendation.fingerprint, sandbox=sandbox, caveats=caveats
        )

    async def _stop(self, run: Run, reason: StopReason) -> StateChanged:
        if reason is StopReason.LEASE_LOST:
            raise LeaseLost(run.recommendation_id)
        if reason is StopReason.DRAIN:
            return StateChanged(state=State.QUEUED)
        view = self._read(run.recommendation, await run.log())
        asked = self._best_so_far(run.recommendation, view)
        best = await within(_STOP_LIMIT_S, asked, self.clock)
        return StateChanged(state=State.CANCELLED, advice=best)


def _refused(code: RefusalCode, message: str) -> StateChanged:
    return StateChanged(state=State.FAILED, refusal=Refusal(code=code, message=message))
