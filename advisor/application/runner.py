"""Carries one claimed recommendation from its log to its end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import structlog

from advisor.application.brake import Brake, Stopped, StopReason, run_until_stopped
from advisor.application.cache import find_cached_advice
from advisor.application.hub import Hub
from advisor.application.workspace import Workspace
from advisor.domain.advice import Advice, Refusal, RefusalCode
from advisor.domain.commands import Command, Train
from advisor.domain.device import Device
from advisor.domain.errors import LeaseLost, NotFound, StoreUnavailable
from advisor.domain.measurements import Log, Measurement
from advisor.domain.recommendation import (
    CommandStarted,
    Happening,
    Measured,
    Recommendation,
    State,
    StateChanged,
)
from advisor.planning.step import Planner
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.store import Store
from advisor.ports.worker_pool import WorkerPool, WorkerSession

_LOG = structlog.stdlib.get_logger(__name__)

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
        planner: What decides.
        clock: The time.
        hub: Who is told of each event.
        workspace: The directory shared with workers.
        owner: This daemon's name on its leases.
        lease_s: Seconds of a lease.
    """

    store: Store
    pool: WorkerPool
    inventory: DeviceInventory
    planner: Planner
    clock: Clock
    hub: Hub
    workspace: Workspace
    owner: str
    lease_s: float

    async def run(self, recommendation: Recommendation, brake: Brake) -> None:
        """Work on a recommendation whose lease this daemon holds, and end the lease.

        Returns without a word to the store when the lease is lost or the store is gone: then
        the recommendation belongs to whoever claims it next.
        """
        log = _LOG.bind(recommendation_id=recommendation.recommendation_id)
        self.hub.publish(recommendation.recommendation_id)  # It is RUNNING.
        if recommendation.cancel_requested:
            brake.pull(StopReason.CANCEL)
        heartbeat = asyncio.create_task(self._keep_lease(recommendation, brake))
        try:
            change = await self._carry_out(recommendation, brake)
            await self.finish(recommendation, change)
            log.info("recommendation left", state=change.state.value)
        except LeaseLost:
            log.warning("lease lost")
        except StoreUnavailable:
            log.exception("recommendation abandoned: the store is not available")
        finally:
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

    async def _carry_out(self, recommendation: Recommendation, brake: Brake) -> StateChanged:
        try:
            return await self._search_or_stop(recommendation, brake)
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception:  # noqa: BLE001 - the trouble of one must not end the daemon's others
            _LOG.exception(
                "recommendation failed", recommendation_id=recommendation.recommendation_id
            )
            return _refused(RefusalCode.INTERNAL, "The advisor failed; the daemon's log says how.")

    async def _search_or_stop(self, recommendation: Recommendation, brake: Brake) -> StateChanged:
        try:
            return await self._search(recommendation, brake)
        except Stopped as stopped:
            return await self._stop(recommendation, stopped.reason)

    async def _search(self, recommendation: Recommendation, brake: Brake) -> StateChanged:
        request = recommendation.request
        try:
            device = await asyncio.to_thread(self.inventory.find, recommendation.device.device_id)
        except NotFound as error:
            return _refused(RefusalCode.DEVICE, str(error))
        log = await self.store.log(recommendation.recommendation_id)
        if not log:  # An equal request may have been answered while this one waited.
            key = recommendation.fingerprint
            cached = await find_cached_advice(self.store, key, request, device)
            if cached is not None:
                return StateChanged(state=State.SUCCEEDED, advice=cached)
        log = await self._adopt_interrupted_log(recommendation, log)
        return await self._follow_plan(recommendation, device, log, brake)

    async def _follow_plan(
        self, recommendation: Recommendation, device: Device, log: Log, brake: Brake
    ) -> StateChanged:
        request, planned = recommendation.request, recommendation.device
        async with AsyncExitStack() as stack:
            session: WorkerSession | None = None
            while True:
                brake.check()
                step = await asyncio.to_thread(self.planner.next_step, request, planned, log)
                if isinstance(step, Advice):
                    advice = replace(step, fingerprint=recommendation.fingerprint)
                    return StateChanged(state=State.SUCCEEDED, advice=advice)
                if isinstance(step, Refusal):
                    return StateChanged(state=State.FAILED, refusal=step)
                if session is None:
                    session = await self._open_session(stack, recommendation, device)
                await self._append(recommendation, CommandStarted(command=step))
                measurement = await self._measure(session, step, brake)
                log = await self._record(recommendation, log, measurement)

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

    async def _measure(self, session: WorkerSession, command: Command, brake: Brake) -> Measurement:
        begun_s = self.clock.monotonic_s()
        outcome = await run_until_stopped(session.run(command), brake)
        wall_s = self.clock.monotonic_s() - begun_s
        return Measurement(command=command, outcome=outcome, wall_s=wall_s)

    async def _record(
        self, recommendation: Recommendation, log: Log, measurement: Measurement
    ) -> Log:
        log = (*log, measurement)
        best = await self._best_so_far(recommendation, log)
        remaining_s = self.planner.remaining_s(recommendation.request, log)
        happening = Measured(measurement=measurement, best=best, remaining_s=remaining_s)
        await self._append(recommendation, happening)
        return log

    async def _best_so_far(self, recommendation: Recommendation, log: Log) -> Advice | None:
        best = await asyncio.to_thread(
            self.planner.best_so_far, recommendation.request, recommendation.device, log
        )
        return best and replace(best, fingerprint=recommendation.fingerprint)

    async def _append(self, recommendation: Recommendation, happening: Happening) -> None:
        await self.store.append(recommendation.recommendation_id, self.owner, happening)
        self.hub.publish(recommendation.recommendation_id)

    async def _adopt_interrupted_log(self, recommendation: Recommendation, log: Log) -> Log:
        """Begin with what a daemon that died has measured for the same answer.

        An adoption may itself be interrupted: what is there already is then its beginning.
        """
        if not recommendation.request.use_cache:
            return log
        interrupted = await self.store.find_interrupted_log(recommendation.fingerprint)
        if interrupted[: len(log)] != log or not self._has_checkpoints_of(
            recommendation, interrupted
        ):
            return log
        for measurement in interrupted[len(log) :]:
            log = await self._record(recommendation, log, measurement)
        return log

    def _has_checkpoints_of(self, recommendation: Recommendation, log: Log) -> bool:
        needs_any = any(
            isinstance(measurement.command, Train) and measurement.command.save_checkpoint
            for measurement in log
        )
        return not needs_any or self.workspace.checkpoint_dir(recommendation).is_dir()

    async def _stop(self, recommendation: Recommendation, reason: StopReason) -> StateChanged:
        if reason is StopReason.LEASE_LOST:
            raise LeaseLost(recommendation.recommendation_id)
        if reason is StopReason.DRAIN:
            return StateChanged(state=State.QUEUED)
        log = await self.store.log(recommendation.recommendation_id)
        best = await self._best_so_far(recommendation, log)
        return StateChanged(state=State.CANCELLED, advice=best)


def _refused(code: RefusalCode, message: str) -> StateChanged:
    return StateChanged(state=State.FAILED, refusal=Refusal(code=code, message=message))
