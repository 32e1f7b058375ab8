"""Statements that remove what nobody will ask for again; each runs in its caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from bsadvise.model.advice import RefusalCode
from bsadvise.model.recommendation import LOCAL, State
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

from advisor.domain.fair_shares import KeptSource, fair_shares, sources_beyond
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
    """Remove a batch of what has ended, and return how many there were.

    What is too old goes first; then the oldest of each principal that has more than its share.
    """
    is_old = _COLUMNS.updated_at_s < retention.finished_before_s
    removed = _remove_oldest(connection, is_old, BATCH_SIZE)
    query = select(_COLUMNS.principal, func.count()).where(_IS_FINAL).group_by(_COLUMNS.principal)
    held = {str(principal): int(count) for principal, count in connection.execute(query)}
    for principal, share in fair_shares(held, retention.keep_count).items():
        count = min(held[principal] - share, BATCH_SIZE - removed)
        removed += _remove_oldest(connection, _COLUMNS.principal == principal, count)
    return removed


def _remove_oldest(connection: Connection, which: ColumnElement[bool], count: int) -> int:
    if count <= 0:
        return 0
    oldest = select(_COLUMNS.number).where(_IS_FINAL, which).order_by(_COLUMNS.number).limit(count)
    removed = connection.execute(delete(recommendations).where(_COLUMNS.number.in_(oldest)))
    return removed.rowcount


def remove_sources(connection: Connection, retention: Retention) -> tuple[int, int]:
    """Remove sources, longest unused first, and return how many and how large they were."""
    sizes: dict[str, int] = {}
    kept: list[KeptSource] = []
    senders = _senders(connection)
    for row in _sources_by_use(connection):
        is_removable = not row.is_in_use and row.used_at_s < retention.sources_unused_since_s
        if is_removable and row.used_at_s < retention.finished_before_s:
            sizes[row.digest] = row.size_bytes
            continue
        kept.append(
            KeptSource(
                digest=row.digest,
                size_bytes=row.size_bytes,
                principals=frozenset(senders[row.digest] or {LOCAL}),
                is_removable=is_removable,
            )
        )
    beyond = set(sources_beyond(kept, retention.keep_source_bytes))
    sizes |= {source.digest: source.size_bytes for source in kept if source.digest in beyond}
    for digest in sizes:
        connection.execute(delete(sources).where(sources.c.digest == digest))
    return len(sizes), sum(sizes.values())


def _senders(connection: Connection) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for digest, principal in connection.execute(select(uploads.c.digest, uploads.c.principal)):
        found[digest].add(principal)
    return found


def _sources_by_use(connection: Connection) -> list[Row[Any]]:
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
    is_in_use = func.coalesce(uses.c.is_in_use, 0).label("is_in_use")
    query = (
        select(sources.c.digest, sources.c.size_bytes, used_at_s, is_in_use)
        .outerjoin_from(sources, uses, uses.c.source_digest == sources.c.digest)
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
