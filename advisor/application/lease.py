"""Keeps the lease of a run, and hears from the store that its client has cancelled it."""

from __future__ import annotations

from advisor.application.cancellation import StopReason
from advisor.application.run import Run
from advisor.domain.errors import LeaseLost, StoreUnavailable

RENEWALS_A_LEASE = 3
"""Two renewals in a row may fail before the lease runs out."""


async def keep_lease(run: Run) -> None:
    """Renew the lease of a run at intervals, until this is cancelled or the lease is lost.

    It counts as lost as well when the store was not available for a lease's length.
    """
    renewed_s = run.clock.monotonic_s()
    while run.cancellation.reason is not StopReason.LEASE_LOST:
        await run.clock.sleep(run.lease_s / RENEWALS_A_LEASE)
        try:
            is_cancelled = await run.store.renew(
                run.recommendation_id, run.owner, lease_s=run.lease_s
            )
        except LeaseLost:
            run.cancellation.request(StopReason.LEASE_LOST)
        except StoreUnavailable:
            if run.clock.monotonic_s() - renewed_s >= run.lease_s:
                run.cancellation.request(StopReason.LEASE_LOST)
        else:
            renewed_s = run.clock.monotonic_s()
            if is_cancelled:
                run.cancellation.request(StopReason.CANCEL)
