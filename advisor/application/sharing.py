"""What principals share of a daemon, and how much of it each may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bsadvise.model.token import Scope

from advisor.domain.access import NO_LIMITS, Caller, Limits
from advisor.domain.errors import QuotaExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingPolicy:
    """How a daemon is shared.

    Attributes:
        limits: How much each principal may have; whoever may administer has no limit.
        cache_is_shared: Whether an answer that was found for one principal is given to others.
        max_estimates: Estimates that a principal may wait for at a time: each holds a call and
            a request in memory.
    """

    limits: Limits = NO_LIMITS
    cache_is_shared: bool = False
    max_estimates: int = 16

    def limits_of(self, caller: Caller) -> Limits:
        """Return how much a caller may have."""
        return NO_LIMITS if caller.may(Scope.ADMIN) else self.limits

    def cache_partition(self, principal: str) -> str | None:
        """Return who alone shares a principal's answers; None where all do."""
        return None if self.cache_is_shared else principal


class InFlight:
    """Bounds what each principal has under way in this daemon's memory, all calls together."""

    def __init__(self, quota: str, limit: int, message: str) -> None:
        """Begin with nothing under way.

        Args:
            quota: Its name, for a program.
            limit: The most that one principal may have under way.
            message: What to tell who wants more.
        """
        self._quota = quota
        self._limit = limit
        self._message = message
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, principal: str) -> Iterator[Hold]:
        """Yield what an amount is added to, and let go of all of it on leaving."""
        hold = Hold(self, principal)
        try:
            yield hold
        finally:
            self._held[principal] -= hold.amount
            if not self._held[principal]:
                del self._held[principal]

    def take(self, principal: str, amount: int) -> None:
        """Count an amount as under way. Raises QuotaExceeded."""
        if self._held[principal] + amount > self._limit:
            raise QuotaExceeded(principal, self._quota, self._limit, self._message)
        self._held[principal] += amount


class Hold:
    """What one call has under way.

    Attributes:
        amount: How much it is.
    """

    def __init__(self, in_flight: InFlight, principal: str) -> None:
        self._in_flight = in_flight
        self._principal = principal
        self.amount = 0

    def add(self, amount: int) -> None:
        """Take more. Raises QuotaExceeded."""
        self._in_flight.take(self._principal, amount)
        self.amount += amount
