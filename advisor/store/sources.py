"""Statements about sources; each runs inside its caller's transaction."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from advisor.domain.access import Limits
from advisor.domain.errors import NotFound
from advisor.store.quotas import check_upload
from advisor.store.tables import sources, uploads


def put(
    connection: Connection,
    digest: str,
    bundle: bytes,
    now_s: float,
    *,
    principal: str,
    limits: Limits,
) -> None:
    """Keep a bundle, and that a principal has sent it. Raises QuotaExceeded."""
    if has(connection, digest, principal):
        return
    check_upload(connection, principal, len(bundle), limits, now_s)
    if not _is_kept(connection, digest):
        connection.execute(
            insert(sources).values(
                digest=digest, bundle=bundle, size_bytes=len(bundle), created_at_s=now_s
            )
        )
    connection.execute(
        insert(uploads).values(
            principal=principal, digest=digest, size_bytes=len(bundle), uploaded_at_s=now_s
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


def has(connection: Connection, digest: str, principal: str) -> bool:
    """Return whether a principal has sent a bundle."""
    query = select(uploads.c.size_bytes).where(
        uploads.c.digest == digest, uploads.c.principal == principal
    )
    return connection.scalar(query) is not None


def _is_kept(connection: Connection, digest: str) -> bool:
    query = select(sources.c.size_bytes).where(sources.c.digest == digest)
    return connection.scalar(query) is not None
