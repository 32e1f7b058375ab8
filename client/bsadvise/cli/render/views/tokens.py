"""Tokens: whose, for what, until when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.text import Text

from bsadvise.cli.render.views.layout import table_of
from bsadvise.model.token import Token


def tokens_view(tokens: Sequence[Token]) -> RenderableType:
    """Return tokens for a person, one a line."""
    if not tokens:
        return Text("There are none.")
    rows = [
        (one.token_id, one.principal, str(one.scope), _day(one.created_at_s), _end(one))
        for one in tokens
    ]
    return table_of(("id", "principal", "scope", "created", "until"), rows)


def _end(token: Token) -> str:
    if token.revoked_at_s is not None:
        return f"revoked {_day(token.revoked_at_s)}"
    return _day(token.expires_at_s)


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
