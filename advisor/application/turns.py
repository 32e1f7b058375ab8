"""Turns, fair between principals, at what a daemon does for several of them at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """Who waits for a turn.

    Attributes:
        principal: Whose turn it would be.
        used_s: Seconds of devices and of turns that the principal has used within a day.
        number: Its place among all that came, in order.
    """

    principal: str
    used_s: float
    number: int


def next_turn(
    waiting: Collection[Waiter], running: Mapping[str, int], place_count: int
) -> Waiter | None:
    """Return whose turn it is; None when nobody's.

    The principal with the fewest turns under way comes first, then the one that has used the
    least, then who came first. One principal never has all places, where there are several.

    Args:
        waiting: Who waits.
        running: Turns under way by principal.
        place_count: How many there may be at a time, at least 1.
    """
    if sum(running.values()) >= place_count:
        return None
    most = max(1, place_count - 1)
    may_begin = [waiter for waiter in waiting if running.get(waiter.principal, 0) < most]
    return min(
        may_begin, key=lambda w: (running.get(w.principal, 0), w.used_s, w.number), default=None
    )


class Turns:
    """Lets some tasks at a time through, fairly between principals."""

    def __init__(self, place_count: int) -> None:
        """Begin with all places free.

        Args:
            place_count: How many there are, at least 1.
        """
        self._place_count = place_count
        self._running: Counter[str] = Counter()
        self._waiting: dict[Waiter, asyncio.Future[None]] = {}
        self._count = 0

    @property
    def running_count(self) -> int:
        """How many have their turn now."""
        return self._running.total()

    @property
    def waiting_count(self) -> int:
        """How many wait for it."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, principal: str, used_s: float) -> AsyncIterator[None]:
        """Wait for a turn of a principal, and have it until leaving."""
        self._count += 1
        waiter = Waiter(principal=principal, used_s=used_s, number=self._count)
        granted = self._waiting[waiter] = asyncio.get_running_loop().create_future()
        self._grant()
        try:
            await granted
            yield
        finally:
            if self._waiting.pop(waiter, None) is None:  # It was granted.
                self._running[principal] -= 1
                self._running += Counter()  # Keeps what is above 0.
                self._grant()

    def _grant(self) -> None:
        while (waiter := next_turn(self._waiting, self._running, self._place_count)) is not None:
            self._running[waiter.principal] += 1
            granted = self._waiting.pop(waiter)
            if not granted.done():  # Else it is cancelled, and gives its place back.
                granted.set_result(None)
