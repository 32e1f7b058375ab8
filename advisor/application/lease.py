"""Keeps the lease of a run, and hears from the store that its client has cancelled it."""

from __future__ import annotations

import structlog

from advisor.application.cancellation import StopReason
from advisor.application.run import Run
from advisor.domain.errors import LeaseLost, StoreUnavailable

_LOG = structlog.stdlib.get_logger(__name__)

RENEWALS_A_LEASE = 3
"""Two renewals in a row may fail before the lease runs out."""


async def keep_lease(run: Run) -> None:
    """Renew the lease of a run at intervals, until this is cancelled or the lease is lost.

    It counts as lost as well when it could not be renewed for its whole length. May be called
    again after it has raised.
    """
    period_s = run.lease_s / RENEWALS_A_LEASE
    due_s = run.renewed_s + period_s
    while run.cancellation.reason is not StopReason.LEASE_LOST:
        await run.clock.sleep(max(0.0, due_s - run.clock.monotonic_s()))
        due_s = run.clock.monotonic_s() + period_s
        await _renew(run)


async def _renew(run: Run) -> None:
    try:
        is_cancelled = await run.store.renew(run.recommendation_id, run.owner, lease_s=run.lease_s)
    except LeaseLost:
        run.cancellation.request(StopReason.LEASE_LOST)
    except Exception as error:
        if run.clock.monotonic_s() - run.renewed_s >= run.lease_s:
            run.cancellation.request(StopReason.LEASE_LOST)
        if not isinstance(error, StoreUnavailable):
            raise
        _LOG.warning(
            "a lease is not renewed", recommendation_id=run.recommendation_id, error=str(error)
        )
    else:
        run.renewed_s = run.clock.monotonic_s()
        if is_cancelled:
            run.cancellation.request(StopReason.CANCEL)
