"""Tokens, by which a daemon knows its callers."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.values import OpenEnum, Value


class Scope(OpenEnum):
    """What a caller may do; each one allows what those before it allow."""

    READ = "read"
    """See devices, and one's own recommendations."""
    RUN = "run"
    """Upload code and have it measured."""
    ADMIN = "admin"
    """See and stop what others asked for, and make tokens; no quota holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(Value):
    """A token as the daemon keeps it, without its secret.

    Attributes:
        token_id: The part of it that is no secret.
        principal: Whom it authenticates.
        scope: What they may do.
        created_at_s: Unix time.
        expires_at_s: Unix time from which it opens nothing.
        revoked_at_s: Unix time at which it was revoked; None while it was not.
    """

    token_id: str
    principal: str
    scope: Scope
    created_at_s: float
    expires_at_s: float
    revoked_at_s: float | None = None
