"""Statements about events and the log; each runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import Event, Measured
from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select, update

from advisor.domain.errors import NotFound
from advisor.store.pages import first_rows
from advisor.store.rows import event_values, kind_of, to_event, to_measurement
from advisor.store.tables import events, recommendations


def insert_event(connection: Connection, recommendation_id: str, event: Event) -> None:
    """Add an event, and count it; its sequence number was taken from the recommendation's row."""
    values = event_values(recommendation_id, event)
    connection.execute(insert(events).values(values))
    connection.execute(
        update(recommendations)
        .where(recommendations.c.recommendation_id == recommendation_id)
        .values(kept_bytes=recommendations.c.kept_bytes + len(values["body"]))
    )


def read_events(
    connection: Connection, recommendation_id: str, after_sequence: int, limit: int
) -> tuple[Event, ...]:
    """Return events after a sequence number, oldest first. Raises NotFound.

    Fewer than ``limit`` where they are long: the others come after the last of these.
    """
    query = _events_of(recommendation_id).where(events.c.sequence > after_sequence).limit(limit)
    with connection.execute(query) as result:
        rows, _ = first_rows(result, limit, lambda row: len(row.body))
    if not rows:
        _check_exists(connection, recommendation_id)
    return tuple(map(to_event, rows))


def read_log(connection: Connection, recommendation_id: str) -> Log:
    """Return the measurements of a recommendation's search, oldest first. Raises NotFound."""
    begins_after = (
        select(recommendations.c.log_after_sequence)
        .where(recommendations.c.recommendation_id == recommendation_id)
        .scalar_subquery()
    )
    query = _events_of(recommendation_id).where(
        events.c.kind == kind_of(Measured), events.c.sequence > begins_after
    )
    # Not whole events: the advice so far that each one carries is of no use here.
    found = (to_measurement(row.body) for row in _fetch(connection, recommendation_id, query))
    return tuple(measurement for measurement in found if measurement is not None)


def has_measurements(recommendation_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that something was measured for a recommendation."""
    is_its = events.c.recommendation_id == recommendation_id
    return select(events.c.sequence).where(is_its, events.c.kind == kind_of(Measured)).exists()


def _events_of(recommendation_id: str) -> Select[Any]:
    return (
        select(events)
        .where(events.c.recommendation_id == recommendation_id)
        .order_by(events.c.sequence)
    )


def _fetch(
    connection: Connection, recommendation_id: str, query: Select[Any]
) -> Sequence[Row[Any]]:
    rows = connection.execute(query).all()
    if not rows:
        _check_exists(connection, recommendation_id)
    return rows


def _check_exists(connection: Connection, recommendation_id: str) -> None:
    found = connection.scalar(
        select(recommendations.c.number).where(
            recommendations.c.recommendation_id == recommendation_id
        )
    )
    if found is None:
        raise NotFound(f"there is no recommendation {recommendation_id}")
