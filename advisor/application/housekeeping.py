"""Removes what is old, too much, or left behind, while the daemon serves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from advisor.application.plausible_clock import ClockEvidence, plausible_now_s
from advisor.application.supervision import Supervisor
from advisor.application.work_queue import WorkQueue
from advisor.application.workspace import Workspace
from advisor.domain.errors import StoreUnavailable
from advisor.ports.clock import Clock
from advisor.ports.store import Removed, Retention, Store
from advisor.ports.telemetry import Telemetry
from advisor.ports.worker_pool import WorkerPool

_LOG = structlog.stdlib.get_logger(__name__)

ROUND_S = 600.0
"""Between two rounds."""

UNUSED_S = 3600.0
"""What was used within the last hour is not called left behind: its user may only be slow."""

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How much is kept of what has ended; what has not ended is always kept.

    Attributes:
        days: Days after which a recommendation that has ended is removed, and a source that
            nobody has used.
        count: The most recommendations that have ended.
        source_bytes: The most bytes of sources.
    """

    days: float = 90.0
    count: int = 10_000
    source_bytes: int = 4 << 30


@dataclass(slots=True, kw_only=True)
class Housekeeping:
    """Keeps the database and the state directory from growing without end.

    Attributes:
        store: What is pruned.
        pool: Is asked to remove what its workers have left.
        workspace: What is swept.
        queue: Its idle moments are used to compact the database.
        clock: The time.
        telemetry: Is told what is removed.
        supervisor: Keeps it at work.
        keep: What is not removed.
    """

    store: Store
    pool: WorkerPool
    workspace: Workspace
    queue: WorkQueue
    clock: Clock
    telemetry: Telemetry
    supervisor: Supervisor
    keep: Keep
    _begun: ClockEvidence | None = field(default=None, init=False)

    async def serve(self) -> None:
        """Work until cancelled, the first time at once."""
        await self.supervisor.keep("housekeeping", self._work_in_rounds)

    async def _work_in_rounds(self) -> None:
        while True:
            try:
                await self.work()
            except (StoreUnavailable, OSError) as error:
                _LOG.warning("housekeeping is put off", error=str(error))
            await self.clock.sleep(ROUND_S)

    async def work(self) -> Removed:
        """Remove what need not be kept, once. Raises StoreUnavailable, OSError."""
        now_s = self.clock.now_s()
        removed = await self.store.prune(
            Retention(
                finished_before_s=await self._aged_now_s(now_s) - self.keep.days * _DAY_S,
                keep_count=self.keep.count,
                keep_source_bytes=self.keep.source_bytes,
                sources_unused_since_s=now_s - UNUSED_S,
            )
        )
        # The list is made first: what is begun after the store was asked is not on it.
        candidates = await asyncio.to_thread(self.workspace.list_unused, now_s - UNUSED_S)
        in_use = await self.store.find_in_use()
        swept = await asyncio.to_thread(self.workspace.sweep, candidates, in_use)
        self._tell(removed, swept)
        await asyncio.to_thread(self.workspace.remove_set_aside)
        await self.pool.remove_leftovers()
        if self.queue.is_idle:
            await self.store.compact()
        return removed

    async def _aged_now_s(self, now_s: float) -> float:
        """Return the time by which things are old, whatever the machine's clock says."""
        monotonic_s = self.clock.monotonic_s()
        if self._begun is None:
            self._begun = ClockEvidence(
                now_s=now_s, monotonic_s=monotonic_s, newest_s=await self.store.newest_s()
            )
        return plausible_now_s(self._begun, now_s=now_s, monotonic_s=monotonic_s)

    def _tell(self, removed: Removed, swept: int) -> None:
        counts = {
            "recommendations": removed.recommendation_count,
            "sources": removed.source_count,
            "usage": removed.usage_count,
            "directories": swept,
        }
        for kind, count in counts.items():
            self.telemetry.removed(kind, count)
        if any(counts.values()):
            _LOG.info("removed what is old", **counts)
