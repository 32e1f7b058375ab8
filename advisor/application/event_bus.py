"""Wakes the tasks of this daemon that wait for a recommendation's next event."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class EventBus:
    """Wakes those who watch a recommendation. Carries no content: that is in the store.

    What another daemon writes is not announced here, so that watchers must also poll the
    store.

    Attributes:
        is_closed: Whether the daemon is stopping, and no more news will come.
    """

    def __init__(self) -> None:
        self._subscribers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.is_closed = False

    @contextmanager
    def subscribe(self, recommendation_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each piece of news; the subscriber clears it."""
        news = asyncio.Event()
        self._subscribers[recommendation_id].add(news)
        try:
            yield news
        finally:
            self._subscribers[recommendation_id].discard(news)
            if not self._subscribers[recommendation_id]:
                del self._subscribers[recommendation_id]

    def publish(self, recommendation_id: str) -> None:
        """Wake all who watch a recommendation."""
        for news in self._subscribers.get(recommendation_id, ()):
            news.set()

    def close(self) -> None:
        """Wake everybody for the last time."""
        self.is_closed = True
        for recommendation_id in self._subscribers:
            self.publish(recommendation_id)
