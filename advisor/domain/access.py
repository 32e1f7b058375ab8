"""Who asks, what they may do, and the tokens by which they are known."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bsadvise.model.recommendation import LOCAL
from bsadvise.model.token import Scope

_PRINCIPAL = re.compile(r"[A-Za-z0-9._@:/+-]{1,128}")

_ALLOWS = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.RUN: frozenset({Scope.READ, Scope.RUN}),
    Scope.ADMIN: frozenset(Scope),
}


def is_principal(name: str) -> bool:
    """Return whether a text may be the name of a principal."""
    return _PRINCIPAL.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Attributes:
        principal: Whom the work is done for: they see it, and their quotas pay for it.
        scope: What they may do.
    """

    principal: str
    scope: Scope

    def may(self, scope: Scope) -> bool:
        """Return whether the caller may do what needs a scope."""
        return scope in _ALLOWS[self.scope]

    def may_see(self, principal: str) -> bool:
        """Return whether the caller may know of what is another's."""
        return principal == self.principal or self.may(Scope.ADMIN)


LOCAL_CALLER = Caller(principal=LOCAL, scope=Scope.ADMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it is kept: what it opens, never its secret.

    Attributes:
        token_id: The part of it that is no secret.
        digest: Lower-case hex SHA-256 of the whole token.
        principal: Whose requests it authenticates.
        scope: What they may do.
        created_at_s: Unix time.
        expires_at_s: Unix time from which it opens nothing.
        revoked_at_s: Unix time at which it was revoked; None while it was not.
    """

    token_id: str
    digest: str
    principal: str
    scope: Scope
    created_at_s: float
    expires_at_s: float
    revoked_at_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a shared daemon one principal may have; None for no limit.

    Attributes:
        max_queued: Recommendations that wait at a time.
        device_s_per_day: Seconds of devices within 24 hours, with the budgets of what waits.
        upload_bytes_per_day: Bytes of new sources within 24 hours.
        max_budget_s: The largest budget of a recommendation.
        max_estimate_budget_s: The largest budget of an estimate.
        kept_bytes: Bytes of requests, logs and answers that are kept.
    """

    max_queued: int | None = None
    device_s_per_day: float | None = None
    upload_bytes_per_day: int | None = None
    max_budget_s: float | None = None
    max_estimate_budget_s: float | None = None
    kept_bytes: int | None = None


NO_LIMITS = Limits()
