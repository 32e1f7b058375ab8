"""Statements about sharing devices: whose turn it is, and what each has used.

Each runs inside its caller's transaction. Between principals the one with the fewest devices
at work comes first, then the one that has used the least within a day; among its own a
principal's priorities decide, then age. What is LOW waits for all that is not.
"""

from __future__ import annotations

from typing import Any

from bsadvise.model.recommendation import State
from bsadvise.model.request import Priority
from sqlalchemy import Connection, Select, Subquery, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from advisor.ports.store import DeviceQueue, QueueEntry, Share
from advisor.store.device_sets import leased_counts
from advisor.store.rows import PRIORITY_RANKS
from advisor.store.tables import recommendation_devices, recommendations, usage

_HOUR_S = 3600.0
DAY_S = 24 * _HOUR_S

_PRIORITIES = {rank: priority for priority, rank in PRIORITY_RANKS.items()}
_COLUMNS = recommendations.c
_IS_RUNNING = _COLUMNS.state == State.RUNNING.value
_IS_QUEUED = _COLUMNS.state == State.QUEUED.value


def fairest_first(now_s: float) -> Select[Any]:
    """Return the query for the ids of all that is queued, in the order of its turns."""
    used, at_work = _used_since(now_s - DAY_S), leased_counts()
    return (
        select(_COLUMNS.recommendation_id)
        .outerjoin(used, used.c.principal == _COLUMNS.principal)
        .outerjoin(at_work, at_work.c.principal == _COLUMNS.principal)
        .where(_IS_QUEUED)
        .order_by(
            _COLUMNS.priority_rank == PRIORITY_RANKS[Priority.LOW],
            func.coalesce(at_work.c.device_count, 0),
            func.coalesce(used.c.device_s, 0.0),
            _COLUMNS.priority_rank.desc(),
            _COLUMNS.number,
        )
    )


def charge(connection: Connection, principal: str, device_s: float, now_s: float) -> None:
    """Add to what a principal has used of devices."""
    if device_s <= 0.0:
        return
    is_postgresql = connection.dialect.name == "postgresql"
    insert = (postgresql.insert if is_postgresql else sqlite.insert)(usage)
    statement = insert.values(principal=principal, hour=int(now_s // _HOUR_S), device_s=device_s)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[usage.c.principal, usage.c.hour],
            set_={"device_s": usage.c.device_s + statement.excluded.device_s},
        )
    )


def used_device_s(connection: Connection, principal: str, now_s: float) -> float:
    """Return the device-seconds that a principal has used within a day."""
    used = _used_since(now_s - DAY_S)
    found = connection.scalar(select(used.c.device_s).where(used.c.principal == principal))
    return float(found or 0.0)


def forget_use(connection: Connection, now_s: float) -> int:
    """Remove what has been used before any time that is asked about, and return how many rows."""
    last_hour = int((now_s - DAY_S) // _HOUR_S)
    return connection.execute(delete(usage).where(usage.c.hour <= last_hour)).rowcount


def read_queue(connection: Connection, host: str, device_id: str, now_s: float) -> DeviceQueue:
    """Return what runs and what waits on a device of a host."""
    is_here = (
        select(recommendation_devices.c.device_id)
        .where(
            recommendation_devices.c.recommendation_id == _COLUMNS.recommendation_id,
            recommendation_devices.c.host == host,
            recommendation_devices.c.device_id == device_id,
        )
        .exists()
    )
    used, at_work = _used_since(now_s - DAY_S), leased_counts()
    running = connection.execute(
        select(_COLUMNS.updated_at_s, _COLUMNS.budget_s, _COLUMNS.principal).where(
            _IS_RUNNING, is_here
        )
    ).one_or_none()
    waiting = connection.execute(
        select(
            _COLUMNS.recommendation_id,
            _COLUMNS.principal,
            _COLUMNS.priority_rank,
            _COLUMNS.budget_s,
            func.coalesce(used.c.device_s, 0.0).label("device_s"),
            func.coalesce(at_work.c.device_count, 0).label("device_count"),
        )
        .outerjoin(used, used.c.principal == _COLUMNS.principal)
        .outerjoin(at_work, at_work.c.principal == _COLUMNS.principal)
        .where(_IS_QUEUED, is_here)
        .order_by(_COLUMNS.number)
    ).all()
    return DeviceQueue(
        busy_for=running.principal if running else None,
        busy_until_s=running.updated_at_s + running.budget_s if running else None,
        entries=tuple(
            QueueEntry(
                recommendation_id=row.recommendation_id,
                principal=row.principal,
                priority=_PRIORITIES.get(row.priority_rank, Priority.NORMAL),
                budget_s=row.budget_s,
            )
            for row in waiting
        ),
        shares={
            row.principal: Share(device_count=row.device_count, device_s=row.device_s)
            for row in waiting
        },
    )


def _used_since(start_s: float) -> Subquery:
    return (
        select(usage.c.principal, func.sum(usage.c.device_s).label("device_s"))
        .where(usage.c.hour > int(start_s // _HOUR_S))
        .group_by(usage.c.principal)
        .subquery()
    )
