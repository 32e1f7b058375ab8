"""Statements about recommendations; each runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bsadvise.model.advice import RefusalCode
from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import Event, Recommendation, State, StateChanged
from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from advisor.domain.access import Limits
from advisor.domain.errors import (
    IllegalTransition,
    NotFound,
    RecordUnreadable,
    RequestIdReused,
)
from advisor.ports.store import ABANDONED_S, Page
from advisor.store.device_sets import insert_devices, release_all
from advisor.store.events import has_measurements, insert_event, read_log
from advisor.store.page_tokens import make_page_token, read_page_token
from advisor.store.pages import first_rows
from advisor.store.quotas import check_kept, check_queue
from advisor.store.rows import (
    change_values,
    first_change,
    recommendation_values,
    request_key,
    to_listed,
    to_recommendation,
)
from advisor.store.tables import recommendations

_COLUMNS = recommendations.c

NO_LEASE = {"lease_owner": None, "lease_expires_at_s": None, "charged_at_s": None}
"""The columns of a recommendation that nobody works on."""


def insert_new(
    connection: Connection,
    recommendation: Recommendation,
    device_ids: Sequence[str],
    host: str,
    limits: Limits,
    now_s: float,
) -> Recommendation:
    """Add a recommendation and its first event. Raises QuotaExceeded."""
    values = recommendation_values(recommendation, host)
    connection.execute(insert(recommendations).values(last_sequence=1, **values))
    insert_devices(connection, recommendation.recommendation_id, host, device_ids)
    first = Event(
        sequence=1, at_s=recommendation.updated_at_s, happening=first_change(recommendation)
    )
    insert_event(connection, recommendation.recommendation_id, first)
    # Last, so that one that was created before is found and not refused.
    check_kept(connection, recommendation.principal, limits)
    if recommendation.state is State.QUEUED:
        check_queue(connection, recommendation.principal, limits, now_s)
    return recommendation


def find_repeated(connection: Connection, recommendation: Recommendation) -> Recommendation | None:
    """Return the recommendation that was made with the same request id. Raises RequestIdReused."""
    row = connection.execute(
        select(recommendations).where(_COLUMNS.request_key == request_key(recommendation))
    ).one_or_none()
    if row is None:
        return None
    stored = to_recommendation(row)
    if stored.request != recommendation.request:
        raise RequestIdReused(stored.request_id, stored.recommendation_id)
    return stored


def get(connection: Connection, recommendation_id: str) -> Recommendation:
    """Return a recommendation, or what can be said of one not understood. Raises NotFound."""
    return to_listed(_row_of(connection, recommendation_id))


def read(connection: Connection, recommendation_id: str) -> Recommendation:
    """Return a recommendation. Raises NotFound, RecordUnreadable."""
    return to_recommendation(_row_of(connection, recommendation_id))


def _row_of(connection: Connection, recommendation_id: str) -> Row[Any]:
    row = None
    if "\x00" not in recommendation_id:  # PostgreSQL's text cannot hold it, and says so
        row = connection.execute(
            select(recommendations).where(_COLUMNS.recommendation_id == recommendation_id)
        ).one_or_none()
    if row is None:
        raise NotFound(f"there is no recommendation {recommendation_id}")
    return row


def list_page(
    connection: Connection, page_size: int, page_token: str, principal: str | None
) -> Page:
    """Return a page, newest first. Raises InvalidRequest."""
    query = select(recommendations).order_by(_COLUMNS.number.desc()).limit(page_size + 1)
    if principal is not None:
        query = query.where(_COLUMNS.principal == principal)
    if page_token:
        query = query.where(_COLUMNS.number < read_page_token(page_token))
    with connection.execute(query) as result:
        page, has_more = first_rows(result, page_size, _row_bytes)
    return Page(
        recommendations=tuple(to_listed(row) for row in page),
        next_page_token=make_page_token(page[-1].number) if has_more else "",
    )


def _row_bytes(row: Row[Any]) -> int:
    texts = (row.request, row.device, row.advice, row.refusal)
    return sum(len(text) for text in texts if text is not None)


def remove(connection: Connection, recommendation_id: str) -> None:
    """Remove a recommendation and, by its foreign key, its events."""
    removed = connection.execute(
        delete(recommendations).where(
            _COLUMNS.recommendation_id == recommendation_id,
            _COLUMNS.state != State.RUNNING.value,
        )
    )
    if not removed.rowcount:
        state = get(connection, recommendation_id).state
        raise IllegalTransition(f"a recommendation that is {state} cannot be deleted")


def request_cancel(connection: Connection, recommendation_id: str, now_s: float) -> Recommendation:
    """Mark what is not finished, end what nobody works on, and return it as it then is."""
    is_it = _COLUMNS.recommendation_id == recommendation_id
    unfinished = [State.QUEUED.value, State.RUNNING.value]
    connection.execute(
        update(recommendations)
        .where(is_it, _COLUMNS.state.in_(unfinished))
        .values(cancel_requested=True)
    )
    is_queued = _COLUMNS.state == State.QUEUED.value
    # Of a host, say, whose daemon never comes back: no other one may take its work over.
    is_abandoned = (_COLUMNS.state == State.RUNNING.value) & (
        _COLUMNS.lease_expires_at_s < now_s - ABANDONED_S
    )
    cancelled = StateChanged(state=State.CANCELLED)
    if change_state(connection, is_it & (is_queued | is_abandoned), cancelled, now_s, **NO_LEASE):
        release_all(connection, recommendation_id)
    return get(connection, recommendation_id)


def change_state(
    connection: Connection,
    condition: ColumnElement[bool],
    change: StateChanged,
    now_s: float,
    **values: Any,  # noqa: ANN401 - further columns to set
) -> Event | None:
    """Move the one recommendation that meets a condition; None when none does."""
    row = connection.execute(
        update(recommendations)
        .where(condition)
        .values(
            last_sequence=_COLUMNS.last_sequence + 1,
            updated_at_s=now_s,
            **change_values(change),
            **values,
        )
        .returning(_COLUMNS.recommendation_id, _COLUMNS.last_sequence)
    ).one_or_none()
    if row is None:
        return None
    event = Event(sequence=row.last_sequence, at_s=now_s, happening=change)
    insert_event(connection, row.recommendation_id, event)
    return event


def find_answer(connection: Connection, fingerprint: str) -> Recommendation | None:
    """Return the newest success with a fingerprint."""
    row = connection.execute(
        select(recommendations)
        .where(_COLUMNS.fingerprint == fingerprint, _COLUMNS.state == State.SUCCEEDED.value)
        .order_by(_COLUMNS.number.desc())
        .limit(1)
    ).one_or_none()
    try:
        return to_recommendation(row) if row else None
    except RecordUnreadable:  # It is asked for anew then.
        return None


def find_searched(
    connection: Connection, source_digest: str, principal: str | None, limit: int
) -> tuple[Recommendation, ...]:
    """Return the newest successes about a source that were measured, not remembered."""
    query = select(recommendations).where(
        _COLUMNS.source_digest == source_digest,
        _COLUMNS.state == State.SUCCEEDED.value,
        has_measurements(_COLUMNS.recommendation_id),
    )
    if principal is not None:
        query = query.where(_COLUMNS.principal == principal)
    found = []
    for row in connection.execute(query.order_by(_COLUMNS.number.desc()).limit(limit)):
        with suppress(RecordUnreadable):  # There is nothing to learn from it then.
            found.append(to_recommendation(row))
    return tuple(found)


def find_interrupted_log(connection: Connection, fingerprint: str) -> Log:
    """Return the log of the newest interrupted one, unless a newer one has succeeded."""
    was_interrupted = _COLUMNS.refusal_code == RefusalCode.INTERRUPTED.value
    row = connection.execute(
        select(_COLUMNS.recommendation_id, _COLUMNS.state)
        .where(
            _COLUMNS.fingerprint == fingerprint,
            (_COLUMNS.state == State.SUCCEEDED.value) | was_interrupted,
        )
        .order_by(_COLUMNS.number.desc())
        .limit(1)
    ).one_or_none()
    if row is None or row.state == State.SUCCEEDED.value:
        return ()
    try:
        return read_log(connection, row.recommendation_id)
    except RecordUnreadable:
        return ()
