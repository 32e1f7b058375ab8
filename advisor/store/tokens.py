"""Statements about tokens; each runs inside its caller's transaction."""

from __future__ import annotations

import dataclasses
from typing import Any

import structlog
from bsadvise.model.token import Scope
from sqlalchemy import Connection, Row, insert, select, update

from advisor.domain.access import Token
from advisor.domain.errors import NotFound
from advisor.store.tables import tokens

_LOG = structlog.stdlib.get_logger(__name__)


def add(connection: Connection, token: Token) -> None:
    """Keep a token."""
    connection.execute(insert(tokens).values(dataclasses.asdict(token) | {"scope": token.scope}))


def find(connection: Connection, token_id: str) -> Token | None:
    """Return a token; None when there is none."""
    row = connection.execute(select(tokens).where(tokens.c.token_id == token_id)).one_or_none()
    return _to_token(row) if row else None


def list_all(connection: Connection) -> tuple[Token, ...]:
    """Return all tokens, newest first."""
    newest_first = (tokens.c.created_at_s.desc(), tokens.c.token_id)
    rows = connection.execute(select(tokens).order_by(*newest_first)).all()
    return tuple(token for row in rows if (token := _to_token(row)) is not None)


def revoke(connection: Connection, token_id: str, now_s: float) -> Token:
    """Mark a token as revoked, and return it. Raises NotFound."""
    connection.execute(
        update(tokens)
        .where(tokens.c.token_id == token_id, tokens.c.revoked_at_s.is_(None))
        .values(revoked_at_s=now_s)
    )
    token = find(connection, token_id)
    if token is None:
        raise NotFound(f"there is no token {token_id}")
    return token


def _to_token(row: Row[Any]) -> Token | None:
    if row.scope not in {scope.value for scope in Scope}:
        _LOG.error("token of an unknown scope", token_id=row.token_id, scope=row.scope)
        return None  # It gives no right that this release knows.
    return Token(**row._asdict() | {"scope": Scope(row.scope)})
