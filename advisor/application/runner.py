"""Carries one claimed recommendation from its log to its end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import structlog
from bsadvise.model.advice import Advice, Refusal, RefusalCode
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import Command, Train
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log, Measurement
from bsadvise.model.recommendation import (
    CommandStarted,
    Measured,
    Recommendation,
    State,
    StateChanged,
)
from bsadvise.model.request import AdviceRequest

from advisor.application.cache import find_cached_advice
from advisor.application.cancellation import Brake, Stopped, StopReason, run_until_stopped
from advisor.application.event_bus import Hub
from advisor.application.gpu_tenants import DeviceLost, Neighbours
from advisor.application.power_watch import PowerWatch
from advisor.application.run import Run
from advisor.application.workspace import Workspace
from advisor.domain.errors import LeaseLost, NotFound, StoreUnavailable
from advisor.planning.evidence.step import Planner
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.energy_meter import EnergyMeter
from advisor.ports.store import Store
from advisor.ports.telemetry import Telemetry
from advisor.ports.worker_pool import WorkerPool, WorkerSession

_LOG = structlog.stdlib.get_logger(__name__)

_OVERTIME = 4.0
_LEAST_WALL_LIMIT_S = 300.0
"""Planners keep to the budget, but for a command or two; past this something is wrong."""

_NO_SANDBOX = Caveat(
    code=CaveatCode.NO_SANDBOX,
    text="The model file ran without a sandbox: it could read and change all that the daemon can.",
)

RENEWALS_A_LEASE = 3
"""Two renewals in a row may fail before the lease runs out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Asks the planner, measures, appends; until there is an answer or somebody brakes.

    All that it knows is in the store, so that a runner may die at any point and another one
    goes on: at worst the command that was under way is run again.

    Attributes:
        store: Where logs and states are kept.
        pool: Where commands are carried out.
        inventory: Where devices are found.
        energy_meter: What tells what they draw.
        planner: What decides.
        clock: The time.
        hub: Who is told of each event.
        workspace: The directory shared with workers.
        telemetry: Is told what is done.
        owner: This daemon's name on its leases.
        lease_s: Seconds of a lease.
    """

    store: Store
    pool: WorkerPool
    inventory: DeviceInventory
    energy_meter: EnergyMeter
    planner: Planner
    clock: Clock
    hub: Hub
    workspace: Workspace
    telemetry: Telemetry
    owner: str
    lease_s: float

    async def run(self, recommendation: Recommendation, brake: Brake) -> None:
        """Work on a recommendation whose lease this daemon holds, and end the lease.

        Returns without a word to the store when the lease is lost or the store stays away:
        then the recommendation belongs to whoever claims it next.
        """
        log = _LOG.bind(recommendation_id=recommendation.recommendation_id)
        self.hub.publish(recommendation.recommendation_id)  # It is RUNNING.
        if recommendation.cancel_requested:
            brake.pull(StopReason.CANCEL)
        run = self._new_run(recommendation, brake)
        device_id = recommendation.device.device_id
        waited_s = self.clock.now_s() - recommendation.created_at_s
        self.telemetry.leased(device_id, waited_s=max(0.0, waited_s))
        state: State | None = None
        heartbeat = asyncio.create_task(self._keep_lease(recommendation, brake))
        try:
            with self.telemetry.running(recommendation.recommendation_id):
                change = await self._carry_out(run)
            await run.patiently(lambda: self.finish(recommendation, change))
            state = change.state
            log.info("recommendation left", state=state.value)
        except LeaseLost:
            log.warning("lease lost")
        except StoreUnavailable:
            log.exception("recommendation abandoned: the store is not available")
        finally:
            self.telemetry.released(device_id, state)
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)

    async def finish(self, recommendation: Recommendation, change: StateChanged) -> None:
        """Move a recommendation on, and remove what nothing will ask for again.

        Raises:
            LeaseLost: This daemon does not hold it.
        """
        recommendation_id = recommendation.recommendation_id
        is_interrupted = change.refusal and change.refusal.code is RefusalCode.INTERRUPTED
        if change.state.is_final and not is_interrupted:
            # While the lease surely holds: once it has ended, an equal request may begin and
            # keep its own checkpoints there.
            await self.store.renew(recommendation_id, self.owner, lease_s=self.lease_s)
            await asyncio.to_thread(self.workspace.remove_checkpoints, recommendation)
        await self.store.finish(recommendation_id, self.owner, change)
        self.hub.publish(recommendation_id)

    async def _keep_lease(self, recommendation: Recommendation, brake: Brake) -> None:
        renewed_s = self.clock.monotonic_s()
        while brake.reason is not StopReason.LEASE_LOST:
            await self.clock.sleep(self.lease_s / RENEWALS_A_LEASE)
            try:
                is_cancelled = await self.store.renew(
                    recommendation.recommendation_id, self.owner, lease_s=self.lease_s
                )
            except LeaseLost:
                brake.pull(StopReason.LEASE_LOST)
            except StoreUnavailable:
                if self.clock.monotonic_s() - renewed_s >= self.lease_s:
                    brake.pull(StopReason.LEASE_LOST)
            else:
                renewed_s = self.clock.monotonic_s()
                if is_cancelled:
                    brake.pull(StopReason.CANCEL)

    def _new_run(self, recommendation: Recommendation, brake: Brake) -> Run:
        return Run(
            recommendation=recommendation,
            brake=brake,
            store=self.store,
            clock=self.clock,
            hub=self.hub,
            owner=self.owner,
            lease_s=self.lease_s,
        )

    async def _carry_out(self, run: Run) -> StateChanged:
        try:
            return await self._search_or_stop(run)
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception:  # noqa: BLE001 - the trouble of one must not end the daemon's others
            _LOG.exception("recommendation failed", recommendation_id=run.recommendation_id)
            return _refused(RefusalCode.INTERNAL, "The advisor failed; the daemon's log says how.")

    async def _search_or_stop(self, run: Run) -> StateChanged:
        try:
            return await self._search(run)
        except Stopped as stopped:
            return await self._stop(run, stopped.reason)
        except DeviceLost as lost:
            return _refused(RefusalCode.DEVICE, str(lost))

    async def _search(self, run: Run) -> StateChanged:
        recommendation, request = run.recommendation, run.recommendation.request
        try:
            device = await asyncio.to_thread(self.inventory.find, recommendation.device.device_id)
        except NotFound as error:
            return _refused(RefusalCode.DEVICE, str(error))
        log = await run.log()
        if not log:  # An equal request may have been answered while this one waited.
            key = recommendation.fingerprint
            cached = await run.patiently(
                lambda: find_cached_advice(self.store, key, request, device)
            )
            if cached is not None:
                return StateChanged(state=State.SUCCEEDED, advice=cached)
        log = await self._adopt_interrupted_log(run, log)
        return await self._follow_plan(run, device, log)

    async def _follow_plan(self, run: Run, device: Device, log: Log) -> StateChanged:
        request, planned = run.recommendation.request, run.recommendation.device
        async with AsyncExitStack() as stack:
            session: WorkerSession | None = None
            neighbours = Neighbours(self.inventory, device)
            read_energy = await asyncio.to_thread(
                stack.enter_context, self.energy_meter.open(device)
            )
            power = PowerWatch(read_energy, self.clock)
            while True:
                run.brake.check()
                step = await asyncio.to_thread(self.planner.next_step, request, planned, log)
                if isinstance(step, Advice):
                    advice = self._signed(step, run.recommendation)
                    return StateChanged(state=State.SUCCEEDED, advice=advice)
                if isinstance(step, Refusal):
                    return StateChanged(state=State.FAILED, refusal=step)
                if sum(entry.wall_s for entry in log) > _wall_limit_s(request):
                    return await self._end_late(run.recommendation, log)
                if session is None:
                    session = await self._open_session(stack, run.recommendation, device)
                await run.append(CommandStarted(command=step))
                await neighbours.look()
                async with power.watching():
                    measurement = await self._measure(session, step, run)
                measurement = replace(
                    measurement,
                    drift_bytes=await neighbours.drift_bytes(),
                    mean_power_w=power.mean_power_w(measurement.outcome),
                )
                log = await self._record(run, log, measurement)

    async def _end_late(self, recommendation: Recommendation, log: Log) -> StateChanged:
        best = await self._best_so_far(recommendation, log)
        if best is not None:
            return StateChanged(state=State.SUCCEEDED, advice=best)
        return _refused(
            RefusalCode.TIMED_OUT,
            "Measuring took many times the budget, and there is nothing to say yet. "
            "The model file or its data may hang; else allow a larger --budget.",
        )

    async def _open_session(
        self, stack: AsyncExitStack, recommendation: Recommendation, device: Device
    ) -> WorkerSession:
        job = await self.workspace.job(
            recommendation.request,
            planned=recommendation.device,
            found=device,
            checkpoint_dir=await asyncio.to_thread(
                self.workspace.make_checkpoint_dir, recommendation
            ),
        )
        return await stack.enter_async_context(self.pool.open(job))

    async def _measure(self, session: WorkerSession, command: Command, run: Run) -> Measurement:
        begun_s = self.clock.monotonic_s()
        with self.telemetry.measuring(command, run.recommendation_id) as note_outcome:
            outcome = await run_until_stopped(session.run(command), run.brake)
            note_outcome(outcome)
        wall_s = self.clock.monotonic_s() - begun_s
        measurement = Measurement(command=command, outcome=outcome, wall_s=wall_s)
        self.telemetry.measured(measurement)
        return measurement

    async def _record(self, run: Run, log: Log, measurement: Measurement) -> Log:
        log = (*log, measurement)
        best = await self._best_so_far(run.recommendation, log)
        remaining_s = self.planner.remaining_s(run.recommendation.request, log)
        await run.append(Measured(measurement=measurement, best=best, remaining_s=remaining_s))
        return log

    async def _best_so_far(self, recommendation: Recommendation, log: Log) -> Advice | None:
        best = await asyncio.to_thread(
            self.planner.best_so_far, recommendation.request, recommendation.device, log
        )
        return best and self._signed(best, recommendation)

    def _signed(self, advice: Advice, recommendation: Recommendation) -> Advice:
        """Return advice with what the planner cannot know of how it came about."""
        sandbox = self.pool.sandbox
        caveats = (*advice.caveats, _NO_SANDBOX) if sandbox == "off" else advice.caveats
        return replace(
            advice, fingerprint=recommendation.fingerprint, sandbox=sandbox, caveats=caveats
        )

    async def _adopt_interrupted_log(self, run: Run, log: Log) -> Log:
        """Begin with what a daemon that died has measured for the same answer.

        An adoption may itself be interrupted: what is there already is then its beginning.
        """
        recommendation = run.recommendation
        if not recommendation.request.use_cache:
            return log
        interrupted = await run.patiently(
            lambda: self.store.find_interrupted_log(recommendation.fingerprint)
        )
        if interrupted[: len(log)] != log or not self._has_checkpoints_of(
            recommendation, interrupted
        ):
            return log
        for measurement in interrupted[len(log) :]:
            log = await self._record(run, log, measurement)
        return log

    def _has_checkpoints_of(self, recommendation: Recommendation, log: Log) -> bool:
        needs_any = any(
            isinstance(measurement.command, Train) and measurement.command.save_checkpoint
            for measurement in log
        )
        return not needs_any or self.workspace.checkpoint_dir(recommendation).is_dir()

    async def _stop(self, run: Run, reason: StopReason) -> StateChanged:
        if reason is StopReason.LEASE_LOST:
            raise LeaseLost(run.recommendation_id)
        if reason is StopReason.DRAIN:
            return StateChanged(state=State.QUEUED)
        best = await self._best_so_far(run.recommendation, await run.log())
        return StateChanged(state=State.CANCELLED, advice=best)


def _wall_limit_s(request: AdviceRequest) -> float:
    return max(_LEAST_WALL_LIMIT_S, _OVERTIME * request.budget_s)


def _refused(code: RefusalCode, message: str) -> StateChanged:
    return StateChanged(state=State.FAILED, refusal=Refusal(code=code, message=message))
