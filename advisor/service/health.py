"""Checks the daemon's own state every few seconds, for its health service and its gauges."""

from __future__ import annotations

import structlog
from grpc_health.v1 import health, health_pb2

from advisor.application.application import Application
from advisor.domain.errors import StoreUnavailable
from advisor.service.metrics import Metrics

PERIOD_S = 5.0

_LOG = structlog.stdlib.get_logger(__name__)

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthReporter:
    """Reports by ``grpc.health.v1`` which services can do their work now.

    A service that needs the database is NOT_SERVING while that cannot be read and written, or
    while a task without which nothing is worked on fails again and again; so is the daemon as a
    whole, the empty name. All are while the daemon drains.
    """

    def __init__(
        self,
        application: Application,
        metrics: Metrics,
        *,
        service_names: tuple[str, ...],
        without_store: frozenset[str],
    ) -> None:
        """Make a reporter that has not checked yet.

        Args:
            application: What is checked.
            metrics: Where its gauges are.
            service_names: Full names of the services.
            without_store: Those of them that need no database.
        """
        self.servicer = health.aio.HealthServicer()
        self._application = application
        self._metrics = metrics
        self._names = ("", *service_names)
        self._without_store = without_store
        self._was_available: bool | None = None
        self._reasons: dict[str, str] = {}

    async def run(self) -> None:
        """Check at intervals, until cancelled."""
        await self._application.supervisor.keep("health", self._check_in_rounds)

    async def _check_in_rounds(self) -> None:
        while True:
            await self.check_once()
            await self._application.clock.sleep(PERIOD_S)

    async def check_once(self) -> None:
        """Check once. What is not known to work counts as not available."""
        turns = self._application.estimates.turns
        self._metrics.estimates.labels("running").set(turns.running_count)
        self._metrics.estimates.labels("waiting").set(turns.waiting_count)
        is_broken = self._fails_at_essentials()
        try:
            await self._application.store.check()
            counts = await self._application.store.count_unfinished()
        except Exception as error:
            self._metrics.store_available.set(0)
            await self._report(is_available=False)
            if not isinstance(error, StoreUnavailable):
                raise
            _LOG.warning("not ready: the store is not available", error=str(error))
            return
        self._metrics.store_available.set(1)
        await self._report(is_available=not is_broken)
        for state, count in counts.items():
            self._metrics.unfinished.labels(state.value).set(count)

    async def drain(self) -> None:
        """Report that nothing is served any more, for good."""
        await self.servicer.enter_graceful_shutdown()

    def _fails_at_essentials(self) -> bool:
        """Log which tasks fail, and return whether one of them is essential."""
        failing = self._application.supervisor.failing()
        self._metrics.task_failing.clear()
        for each in failing:
            self._metrics.task_failing.labels(each.task).set(1)
        if (reasons := {each.task: each.reason for each in failing}) != self._reasons:
            _LOG.warning("tasks that fail again and again", **reasons)
            self._reasons = reasons
        return any(each.is_essential for each in failing)

    async def _report(self, *, is_available: bool) -> None:
        if is_available is self._was_available:
            return
        if is_available and self._was_available is not None:
            _LOG.info("ready again")
        self._was_available = is_available
        for name in self._names:
            serves = is_available or name in self._without_store
            await self.servicer.set(name, _SERVING if serves else _NOT_SERVING)
