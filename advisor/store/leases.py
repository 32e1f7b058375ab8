"""Statements about leases; each runs inside its caller's transaction.

A lease is the owner and the time of expiry in a recommendation's own row, so that every write
in its name checks it in the very statement that writes. A recommendation is RUNNING exactly
while it has one, and holds all its devices as long. An orphan keeps its devices, and is taken
over before anything queued is begun, so that none waits behind a device that it holds itself.
Work is claimed for the devices of one host alone, those of the daemon that took it in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import structlog
from bsadvise.model.advice import Refusal
from bsadvise.model.recommendation import (
    Event,
    Happening,
    State,
    StateChanged,
)
from sqlalchemy import ColumnElement, Connection, Row, and_, select, update

from advisor.domain.errors import LeaseLost, RecordUnreadable
from advisor.domain.transitions import check_transition
from advisor.ports.store import Claim
from advisor.store.device_sets import (
    devices_of,
    first_served,
    release_all,
    release_stale,
    take_all,
)
from advisor.store.events import insert_event
from advisor.store.recommendations import NO_LEASE, change_state, read
from advisor.store.rows import unreadable
from advisor.store.sharing import charge, fairest_first
from advisor.store.tables import recommendations

_LOG = structlog.stdlib.get_logger(__name__)

_COLUMNS = recommendations.c
_IS_RUNNING = _COLUMNS.state == State.RUNNING.value


def claim(
    connection: Connection,
    owner: str,
    lease_s: float,
    now_s: float,
    is_owner_dead: Callable[[str], bool],
    host: str,
) -> Claim | None:
    """Lease the oldest orphan, else the queued one whose turn it is and whose devices are free."""
    lease = {
        "lease_owner": owner,
        "lease_expires_at_s": now_s + lease_s,
        "charged_at_s": now_s,  # what an owner that died had left is nobody's to pay
    }
    release_stale(connection, host)
    while True:
        orphan_id = _take_over_orphan(connection, lease, now_s, is_owner_dead, host)
        claimed_id = orphan_id or _begin_queued(connection, lease, now_s, host)
        if claimed_id is None:
            return None
        try:
            recommendation = read(connection, claimed_id)
        except RecordUnreadable as error:
            refusal = unreadable(error)
            _LOG.error("set aside", recommendation_id=claimed_id, reason=refusal.message)
            _end(connection, claimed_id, owner, _failed(refusal), now_s)
            continue
        return Claim(
            recommendation=recommendation,
            is_takeover=orphan_id is not None,
            device_ids=devices_of(connection, claimed_id),
        )


def _take_over_orphan(
    connection: Connection,
    lease: dict[str, Any],
    now_s: float,
    is_owner_dead: Callable[[str], bool],
    host: str,
) -> str | None:
    running = connection.execute(
        select(_COLUMNS.recommendation_id, _COLUMNS.lease_owner, _COLUMNS.lease_expires_at_s)
        .where(_IS_RUNNING, _COLUMNS.host == host)
        .order_by(_COLUMNS.number)
    ).all()
    is_dead = cache(is_owner_dead)  # one daemon may run work on many devices
    for row in running:
        if row.lease_expires_at_s > now_s and not is_dead(row.lease_owner):
            continue
        if connection.execute(
            update(recommendations).where(_lease_is_unchanged(row)).values(**lease)
        ).rowcount:
            return str(row.recommendation_id)
    return None


def _lease_is_unchanged(row: Row[Any, Any, Any]) -> ColumnElement[bool]:
    # Another daemon may have renewed the lease or taken it over since it was read.
    return and_(
        _held_by(row.recommendation_id, row.lease_owner),
        _COLUMNS.lease_expires_at_s == row.lease_expires_at_s,
    )


def _begin_queued(
    connection: Connection, lease: dict[str, Any], now_s: float, host: str
) -> str | None:
    turns = connection.scalars(fairest_first(now_s).where(_COLUMNS.host == host)).all()
    for queued_id in first_served(connection, host, turns):
        is_it = _COLUMNS.recommendation_id == queued_id
        still_queued = (
            select(_COLUMNS.number)
            .where(is_it, _COLUMNS.state == State.QUEUED.value)
            # SQLite has no row locks and drops this; there the transaction holds the write lock.
            .with_for_update(skip_locked=True)
        )
        if connection.scalar(still_queued) is not None:
            take_all(connection, queued_id)
            change_state(connection, is_it, StateChanged(state=State.RUNNING), now_s, **lease)
            return queued_id
    return None


def renew(
    connection: Connection, recommendation_id: str, owner: str, lease_s: float, now_s: float
) -> bool:
    """Extend a lease, and return whether a cancel was asked for. Raises LeaseLost."""
    _charge(connection, recommendation_id, owner, now_s)
    lease = {"lease_expires_at_s": now_s + lease_s, "charged_at_s": now_s}
    return bool(_update_held(connection, recommendation_id, owner, **lease).cancel_requested)


def append(
    connection: Connection,
    recommendation_id: str,
    owner: str,
    happening: Happening,
    now_s: float,
) -> Event:
    """Add an event in the name of a lease. Raises LeaseLost."""
    row = _update_held(
        connection, recommendation_id, owner, last_sequence=_COLUMNS.last_sequence + 1
    )
    event = Event(sequence=row.last_sequence, at_s=now_s, happening=happening)
    insert_event(connection, recommendation_id, event)
    return event


def restart(connection: Connection, recommendation_id: str, owner: str, fingerprint: str) -> None:
    """Begin the log of a leased recommendation anew. Raises LeaseLost."""
    _update_held(
        connection,
        recommendation_id,
        owner,
        fingerprint=fingerprint,
        log_after_sequence=_COLUMNS.last_sequence,
    )


def finish(
    connection: Connection,
    recommendation_id: str,
    owner: str,
    change: StateChanged,
    now_s: float,
) -> Event:
    """Move a leased recommendation on and end its lease. Raises LeaseLost, IllegalTransition."""
    _charge(connection, recommendation_id, owner, now_s)
    event = _end(connection, recommendation_id, owner, change, now_s)
    check_transition(State.RUNNING, change.state)  # undoes the change when it raises
    return event


def _end(
    connection: Connection,
    recommendation_id: str,
    owner: str,
    change: StateChanged,
    now_s: float,
) -> Event:
    condition = _held_by(recommendation_id, owner)
    event = change_state(connection, condition, change, now_s, **NO_LEASE)
    if event is None:
        raise _lease_lost(recommendation_id, owner)
    release_all(connection, recommendation_id)
    return event


def _failed(refusal: Refusal) -> StateChanged:
    return StateChanged(state=State.FAILED, refusal=refusal)


def _charge(connection: Connection, recommendation_id: str, owner: str, now_s: float) -> None:
    held = connection.execute(
        select(_COLUMNS.principal, _COLUMNS.charged_at_s, _COLUMNS.lease_expires_at_s).where(
            _held_by(recommendation_id, owner)
        )
    ).one_or_none()
    if held is not None and held.charged_at_s is not None:
        # No longer than the lease: a clock that jumps is not the principal's to pay.
        until_s = min(now_s, held.lease_expires_at_s)
        device_count = len(devices_of(connection, recommendation_id))
        device_s = device_count * (until_s - held.charged_at_s)
        charge(connection, held.principal, device_s, now_s)


def _update_held(
    connection: Connection,
    recommendation_id: str,
    owner: str,
    **values: Any,  # noqa: ANN401 - columns to set
) -> Row[Any]:
    row = connection.execute(
        update(recommendations)
        .where(_held_by(recommendation_id, owner))
        .values(**values)
        .returning(_COLUMNS.last_sequence, _COLUMNS.cancel_requested)
    ).one_or_none()
    if row is None:
        raise _lease_lost(recommendation_id, owner)
    return row


def _held_by(recommendation_id: str, owner: str) -> ColumnElement[bool]:
    return and_(
        _COLUMNS.recommendation_id == recommendation_id,
        _IS_RUNNING,
        _COLUMNS.lease_owner == owner,
    )


def _lease_lost(recommendation_id: str, owner: str) -> LeaseLost:
    return LeaseLost(f"{owner} does not hold the lease of recommendation {recommendation_id}")
