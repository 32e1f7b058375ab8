"""Leases what waits in the store and runs it, several recommendations at a time."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import structlog
from bsadvise.model.advice import Refusal, RefusalCode
from bsadvise.model.recommendation import Recommendation, State, StateChanged

from advisor.application.cancellation import Cancellation, StopReason
from advisor.application.instance_lock import InstanceLock
from advisor.application.runner import Runner
from advisor.domain.errors import AdvisorError, StoreUnavailable
from advisor.ports.clock import Clock, wait_for
from advisor.ports.store import Claim, Store

_LOG = structlog.stdlib.get_logger(__name__)

POLL_S = 2.0
"""Seconds between polls for what no event announces: work of daemons that have died."""


class WorkQueue:
    """The daemon's loop: claim, run, claim again.

    One recommendation runs on a device at a time, since the store's ``claim`` gives out no
    other; recommendations on several devices run side by side.

    A private daemon serves only the client that started it. What it finds that is older than
    itself has no client any more, unless another private daemon still lives: it is ended
    INTERRUPTED, and the same request, when it comes again, goes on from its log.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        clock: Clock,
        *,
        instance_lock: InstanceLock | None = None,
    ) -> None:
        """Make a queue that does not run yet.

        Args:
            store: What is claimed from.
            runner: What carries out what was claimed.
            clock: The time.
            instance_lock: The lock of a private daemon; None for a shared one.
        """
        self._store = store
        self._runner = runner
        self._clock = clock
        self._instance_lock = instance_lock
        self._began_at_s = clock.now_s()
        self._news = asyncio.Event()
        self._is_draining = False
        self._cancellations: dict[str, Cancellation] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs here."""
        return not self._cancellations

    def wake(self) -> None:
        """Look for work now."""
        self._news.set()

    def cancel(self, recommendation_id: str) -> None:
        """Stop a recommendation that runs here, if it does."""
        if cancellation := self._cancellations.get(recommendation_id):
            cancellation.request(StopReason.CANCEL)

    def drain(self) -> None:
        """Begin no more, and put back what runs; ``serve`` then returns."""
        self._is_draining = True
        for cancellation in self._cancellations.values():
            cancellation.request(StopReason.DRAIN)
        self.wake()

    async def serve(self) -> None:
        """Work until drained."""
        with self._instance_lock or nullcontext():
            await self._work()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while not self._is_draining:
                self._news.clear()
                claim = await self._claim()
                if claim is None:
                    await wait_for(self._news, self._clock, limit_s=POLL_S)
                elif claim.recommendation.recommendation_id in self._cancellations:
                    # The machine slept or its clock jumped, and the lease of a run that goes
                    # on here seemed to have ended. To claim it was to renew it.
                    continue
                elif self._is_left_over(claim):
                    await self._interrupt(claim.recommendation)
                else:
                    self._cancellations[claim.recommendation.recommendation_id] = Cancellation()
                    tasks.create_task(self._run(claim))

    async def _claim(self) -> Claim | None:
        try:
            return await self._store.claim(self._runner.owner, lease_s=self._runner.lease_s)
        except (StoreUnavailable, OSError):  # Of the machine: it may have no descriptors left.
            _LOG.exception("cannot look for work")
            return None

    def _is_left_over(self, claim: Claim) -> bool:
        if self._instance_lock is None:
            return False
        is_older = claim.recommendation.created_at_s < self._began_at_s
        return claim.is_takeover or (is_older and self._instance_lock.is_alone())

    async def _interrupt(self, recommendation: Recommendation) -> None:
        refusal = Refusal(
            code=RefusalCode.INTERRUPTED,
            message="The daemon that worked on this ended. Ask again: it goes on from there.",
        )
        change = StateChanged(state=State.FAILED, refusal=refusal)
        try:
            await self._runner.finish(recommendation, change)
        except AdvisorError:
            _LOG.exception(
                "cannot end what a daemon left", recommendation_id=recommendation.recommendation_id
            )

    async def _run(self, claim: Claim) -> None:
        recommendation_id = claim.recommendation.recommendation_id
        cancellation = self._cancellations[recommendation_id]
        if self._is_draining:
            cancellation.request(StopReason.DRAIN)
        try:
            await self._runner.run(claim, cancellation)
        except Exception:  # noqa: BLE001 - the trouble of one must not end the daemon's others
            _LOG.exception("run lost", recommendation_id=recommendation_id)
        finally:
            del self._cancellations[recommendation_id]
            self.wake()  # Its devices are free.
