"""Statements that remove what nobody will ask for again; each runs in its caller's transaction."""

from __future__ import annotations

from typing import Any

from bsadvise.model.advice import RefusalCode
from bsadvise.model.recommendation import State
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    case,
    delete,
    func,
    or_,
    select,
)

from advisor.ports.store import InUse, Retention
from advisor.store.tables import recommendations, sources, uploads

BATCH_SIZE = 100
"""Recommendations that one transaction removes: others wait for it to end."""

_WORTH_COMPACTING = 0.25
_SMALLEST_COMPACTED_PAGES = 1000
"""4 MiB: below, there is nothing to win."""

_COLUMNS = recommendations.c
_FINAL = [state.value for state in State if state.is_final]
_IS_FINAL = _COLUMNS.state.in_(_FINAL)


def newest_s(connection: Connection) -> float | None:
    """Return the time of the newest change of a recommendation or upload of a source."""
    times = (
        connection.scalar(select(func.max(_COLUMNS.updated_at_s))),
        connection.scalar(select(func.max(uploads.c.uploaded_at_s))),
    )
    return max((float(time_s) for time_s in times if time_s is not None), default=None)


def remove_finished(connection: Connection, retention: Retention) -> int:
    """Remove a batch of the oldest that have ended, and return how many there were."""
    is_old: ColumnElement[bool] = _COLUMNS.updated_at_s < retention.finished_before_s
    first_too_many = connection.scalar(
        select(_COLUMNS.number)
        .where(_IS_FINAL)
        .order_by(_COLUMNS.number.desc())
        .offset(retention.keep_count)
        .limit(1)
    )
    if first_too_many is not None:
        is_old = or_(is_old, _COLUMNS.number <= first_too_many)
    batch = (
        select(_COLUMNS.number).where(_IS_FINAL, is_old).order_by(_COLUMNS.number).limit(BATCH_SIZE)
    )
    removed = connection.execute(delete(recommendations).where(_COLUMNS.number.in_(batch)))
    return removed.rowcount


def remove_sources(connection: Connection, retention: Retention) -> tuple[int, int]:
    """Remove sources, longest unused first, and return how many and how large they were."""
    total_bytes = connection.scalar(select(func.coalesce(func.sum(sources.c.size_bytes), 0)))
    excess_bytes = int(total_bytes or 0) - retention.keep_source_bytes
    removed: list[Row[Any]] = []
    for row in _removable_sources(connection, retention.sources_unused_since_s):
        freed_bytes = sum(each.size_bytes for each in removed)
        if row.used_at_s >= retention.finished_before_s and freed_bytes >= excess_bytes:
            break
        removed.append(row)
    for row in removed:
        connection.execute(delete(sources).where(sources.c.digest == row.digest))
    return len(removed), sum(row.size_bytes for row in removed)


def _removable_sources(connection: Connection, unused_since_s: float) -> list[Row[Any]]:
    uses = (
        select(
            _COLUMNS.source_digest,
            func.max(_COLUMNS.created_at_s).label("used_at_s"),
            func.max(case((_IS_FINAL, 0), else_=1)).label("is_in_use"),
        )
        .group_by(_COLUMNS.source_digest)
        .subquery()
    )
    newest_upload = (
        select(func.max(uploads.c.uploaded_at_s))
        .where(uploads.c.digest == sources.c.digest)
        .scalar_subquery()
    )
    uploaded_at_s = func.coalesce(newest_upload, sources.c.created_at_s)
    used_at_s = case(
        (uses.c.used_at_s > uploaded_at_s, uses.c.used_at_s), else_=uploaded_at_s
    ).label("used_at_s")
    query = (
        select(sources.c.digest, sources.c.size_bytes, used_at_s)
        .outerjoin_from(sources, uses, uses.c.source_digest == sources.c.digest)
        .where(func.coalesce(uses.c.is_in_use, 0) == 0, used_at_s < unused_since_s)
        .order_by(used_at_s, sources.c.digest)
    )
    return [*connection.execute(query)]


def find_in_use(connection: Connection) -> InUse:
    """Return what a run may still come back to."""
    newer = recommendations.alias("newer")
    was_interrupted = and_(
        _COLUMNS.refusal_code == RefusalCode.INTERRUPTED.value,
        ~select(newer.c.number)
        .where(
            newer.c.fingerprint == _COLUMNS.fingerprint,
            newer.c.state == State.SUCCEEDED.value,
            newer.c.number > _COLUMNS.number,
        )
        .exists(),
    )
    rows = connection.execute(
        select(
            _COLUMNS.recommendation_id,
            _COLUMNS.fingerprint,
            _COLUMNS.source_digest,
            _IS_FINAL.label("is_final"),
        ).where(or_(~_IS_FINAL, was_interrupted))
    ).all()
    return InUse(
        names=frozenset(name for row in rows for name in (row.recommendation_id, row.fingerprint)),
        digests=frozenset(row.source_digest for row in rows if not row.is_final),
    )


def count_unfinished(connection: Connection) -> dict[State, int]:
    """Return how many recommendations wait and run."""
    states = (State.QUEUED, State.RUNNING)
    rows = connection.execute(
        select(_COLUMNS.state, func.count())
        .where(_COLUMNS.state.in_([state.value for state in states]))
        .group_by(_COLUMNS.state)
    ).all()
    counts = {State(state): int(count) for state, count in rows}
    return {state: counts.get(state, 0) for state in states}


def compact(engine: Engine) -> None:
    """Give freed pages of an SQLite file back to the disk, where there are many.

    Needs as much free space as the file takes, and keeps writers waiting while it copies.
    """
    if engine.dialect.name != "sqlite":
        return  # PostgreSQL's autovacuum does this.
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        pages, free_pages = (
            cursor.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count")
        )
        if free_pages > max(_SMALLEST_COMPACTED_PAGES, _WORTH_COMPACTING * pages):
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        raw.close()
