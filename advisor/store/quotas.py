"""Statements about quotas; each runs inside its caller's transaction, after what it checks."""

from __future__ import annotations

from bsadvise.model.recommendation import State
from sqlalchemy import Connection, case, func, select

from advisor.domain.access import Limits
from advisor.domain.errors import QuotaExceeded
from advisor.store.sharing import DAY_S, used_device_s
from advisor.store.tables import recommendations, uploads


def check_queue(connection: Connection, principal: str, limits: Limits, now_s: float) -> None:
    """Raise QuotaExceeded when a principal has queued too much, with what has just come."""
    _take_turns(connection, principal)
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
    if limit_s is None:
        return
    used_s = used_device_s(connection, principal, now_s)
    wanted_s = _wanted_device_s(connection, principal, now_s)
    if used_s + wanted_s > limit_s:
        raise QuotaExceeded(
            principal,
            "device_s_per_day",
            limit_s,
            f"you may use {limit_s:g} s of devices within 24 hours; {used_s:.0f} s are used, and "
            f"the budgets of what runs and waits with this one come to {wanted_s:.0f} s; ask for a "
            "smaller budget, or again later",
        )


def _wanted_device_s(connection: Connection, principal: str, now_s: float) -> float:
    """Return what is left of the budgets of a principal's recommendations, in device-seconds."""
    columns = recommendations.c
    is_running = columns.state == State.RUNNING.value
    left_s = columns.budget_s - case((is_running, now_s - columns.updated_at_s), else_=0.0)
    wanted = select(func.coalesce(func.sum(case((left_s > 0, left_s), else_=0.0)), 0.0)).where(
        columns.principal == principal, is_running | (columns.state == State.QUEUED.value)
    )
    return float(connection.execute(wanted).scalar_one())


def _take_turns(connection: Connection, principal: str) -> None:
    """Let transactions that count a principal's things follow one another, to their ends.

    SQLite has one writer. On PostgreSQL two would each count without what the other has added.
    """
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(principal, 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


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
    _take_turns(connection, principal)
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
