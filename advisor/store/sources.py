"""Statements about sources; each runs inside its caller's transaction."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from advisor.domain.errors import NotFound
from advisor.store.tables import sources


def put(connection: Connection, digest: str, bundle: bytes, now_s: float) -> None:
    """Keep a bundle, unless it is kept already."""
    if not has(connection, digest):
        connection.execute(
            insert(sources).values(
                digest=digest, bundle=bundle, size_bytes=len(bundle), created_at_s=now_s
            )
        )


def get(connection: Connection, digest: str) -> bytes:
    """Return a bundle. Raises NotFound."""
    bundle: bytes | None = connection.scalar(
        select(sources.c.bundle).where(sources.c.digest == digest)
    )
    if bundle is None:
        raise NotFound(f"there is no source {digest}")
    return bundle


def has(connection: Connection, digest: str) -> bool:
    """Return whether a bundle is kept."""
    query = select(sources.c.size_bytes).where(sources.c.digest == digest)
    return connection.scalar(query) is not None
