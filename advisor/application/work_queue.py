"""Leases what waits in the store and runs it, several recommendations at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack

import structlog
from bsadvise.model.advice import Refusal, RefusalCode
from bsadvise.model.recommendation import Recommendation, State, StateChanged

from advisor.application.cancellation import Cancellation, StopReason
from advisor.application.instance_lock import InstanceLock
from advisor.application.runner import Runner
from advisor.application.supervision import Supervisor
from advisor.domain.errors import StoreUnavailable
from advisor.ports.clock import Clock, wait_for
from advisor.ports.store import Claim, Store

_LOG = structlog.stdlib.get_logger(__name__)

POLL_S = 2.0
"""Seconds between polls for what no event announces: work of daemons that have died."""

_MOST_LOST = 3
"""Runs of one recommendation that may end in an error of the daemon's own."""

_INTERRUPTED = Refusal(
    code=RefusalCode.INTERRUPTED,
    message="The daemon that worked on this ended. Ask again: it goes on from there.",
)
_LOST = Refusal(
    code=RefusalCode.INTERNAL,
    message=f"The daemon failed at this {_MOST_LOST} times; its log says how.",
)


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
        supervisor: Supervisor,
        *,
        instance_lock: InstanceLock | None = None,
    ) -> None:
        """Make a queue that does not run yet.

        Args:
            store: What is claimed from.
            runner: What carries out what was claimed.
            clock: The time.
            supervisor: Keeps it at work.
            instance_lock: The lock of a private daemon; None for a shared one.
        """
        self._store = store
        self._runner = runner
        self._clock = clock
        self._supervisor = supervisor
        self._instance_lock = instance_lock
        self._began_at_s = clock.now_s()
        self._news = asyncio.Event()
        self._is_draining = False
        self._cancellations: dict[str, Cancellation] = {}
        self._runs: set[asyncio.Task[None]] = set()
        self._lost: Counter[str] = Counter()

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
        with ExitStack() as stack:
            try:
                await self._supervisor.keep(
                    "queue", lambda: self._work(stack), is_essential=True, longest_wait_s=POLL_S
                )
                await asyncio.gather(*self._runs)
            finally:
                for run in self._runs:
                    run.cancel()
                await asyncio.gather(*self._runs, return_exceptions=True)

    async def _work(self, stack: ExitStack) -> None:
        if self._instance_lock is not None and not self._instance_lock.is_held:
            stack.enter_context(self._instance_lock)
        while not self._is_draining:
            self._news.clear()
            claim = await self._claim()
            if claim is None:
                await wait_for(self._news, self._clock, limit_s=POLL_S)
            else:
                await self._take_up(claim)

    async def _take_up(self, claim: Claim) -> None:
        recommendation_id = claim.recommendation.recommendation_id
        if recommendation_id in self._cancellations:
            # The machine slept or its clock jumped, and the lease of a run that goes on here
            # seemed to have ended. To claim it was to renew it.
            return
        if self._is_left_over(claim):
            await self._end(claim.recommendation, _INTERRUPTED)
        elif self._lost[recommendation_id] >= _MOST_LOST:
            await self._end(claim.recommendation, _LOST)
        else:
            self._cancellations[recommendation_id] = Cancellation()
            run = asyncio.create_task(self._run(claim))
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)

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

    async def _end(self, recommendation: Recommendation, refusal: Refusal) -> None:
        change = StateChanged(state=State.FAILED, refusal=refusal)
        try:
            await self._runner.finish(recommendation, change)
        except Exception as error:  # noqa: BLE001 - it is claimed again, and ended then
            self._supervisor.note(
                "queue", error, recommendation_id=recommendation.recommendation_id
            )
        else:
            self._lost.pop(recommendation.recommendation_id, None)

    async def _run(self, claim: Claim) -> None:
        recommendation_id = claim.recommendation.recommendation_id
        cancellation = self._cancellations[recommendation_id]
        if self._is_draining:
            cancellation.request(StopReason.DRAIN)
        try:
            await self._runner.run(claim, cancellation)
        except Exception as error:  # noqa: BLE001 - the trouble of one is not that of others
            self._lost[recommendation_id] += 1
            self._supervisor.note("run", error, recommendation_id=recommendation_id)
        else:
            self._lost.pop(recommendation_id, None)
        finally:
            del self._cancellations[recommendation_id]
            self.wake()  # Its devices are free.
