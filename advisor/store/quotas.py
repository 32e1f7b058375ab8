"""Statements about quotas; each runs inside its caller's transaction, after what it checks."""

from __future__ import annotations

from bsadvise.model.recommendation import State
from sqlalchemy import Connection, func, select

from advisor.domain.access import Limits
from advisor.domain.errors import QuotaExceeded
from advisor.store.sharing import DAY_S, used_device_s
from advisor.store.tables import recommendations, uploads


def check_queue(connection: Connection, principal: str, limits: Limits, now_s: float) -> None:
    """Raise QuotaExceeded when a principal has queued too much, with what has just come."""
    if limits.max_queued is not None:
        queued = select(func.count()).where(
            recommendations.c.state == State.QUEUED.value,
            recommendations.c.principal == principal,
        )
        if connection.execute(queued).scalar_one() > limits.max_queued:
            raise QuotaExceeded(
                principal,
                "max_queued",
                limits.max_queued,
                f"{limits.max_queued} of your recommendations wait already, and no more may; "
                "wait until one has begun, or cancel one",
            )
    limit_s = limits.device_s_per_day
    if limit_s is not None and used_device_s(connection, principal, now_s) >= limit_s:
        raise QuotaExceeded(
            principal,
            "device_s_per_day",
            limit_s,
            f"your {limit_s:g} s of devices within 24 hours are used up; ask again later",
        )


def check_kept(connection: Connection, principal: str, limits: Limits) -> None:
    """Raise QuotaExceeded when too much is kept of a principal, with what has just come."""
    limit_bytes = limits.kept_bytes
    if limit_bytes is None:
        return
    kept = select(func.coalesce(func.sum(recommendations.c.kept_bytes), 0)).where(
        recommendations.c.principal == principal
    )
    if connection.execute(kept).scalar_one() > limit_bytes:
        raise QuotaExceeded(
            principal,
            "kept_bytes",
            limit_bytes,
            f"your requests, logs and answers take the {limit_bytes} bytes that may be kept of "
            "you; delete some of your recommendations",
        )


def check_upload(
    connection: Connection, principal: str, size_bytes: int, limits: Limits, now_s: float
) -> None:
    """Raise QuotaExceeded when a principal would have sent too much within a day."""
    limit_bytes = limits.upload_bytes_per_day
    if limit_bytes is None:
        return
    sent = select(func.coalesce(func.sum(uploads.c.size_bytes), 0)).where(
        uploads.c.principal == principal, uploads.c.uploaded_at_s > now_s - DAY_S
    )
    if connection.execute(sent).scalar_one() + size_bytes > limit_bytes:
        raise QuotaExceeded(
            principal,
            "upload_bytes_per_day",
            limit_bytes,
            f"your {limit_bytes} bytes of new sources within 24 hours are used up; "
            "ask again later, or about less data",
        )
