"""Reads the store for everybody in this daemon who watches the same recommendation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bsadvise.model.recommendation import Event, Waiting

from advisor.application.event_bus import EventBus
from advisor.application.forecast import Forecasts
from advisor.application.work_queue import POLL_S
from advisor.ports.clock import Clock, wait_for
from advisor.ports.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a feed has read of its recommendation.

    Attributes:
        events: The events that were found last, oldest first.
        after_sequence: The sequence number that they follow.
        has_ended: Whether there will be no more.
        waiting: Where the recommendation stands; None when it does not wait.
        error: Why it could not be read; the other attributes then say nothing.
    """

    events: tuple[Event, ...] = ()
    after_sequence: int = 0
    has_ended: bool = False
    waiting: Waiting | None = None
    error: Exception | None = None

    @property
    def sequence(self) -> int:
        """The last event that is known."""
        return self.events[-1].sequence if self.events else self.after_sequence


@dataclass(slots=True, eq=False)
class Feed:
    """What those who watch a recommendation share.

    Attributes:
        look: What was read last; None before anything was.
        changed: Set when there is another look, and then replaced.
        follower_count: How many watch.
        task: What reads.
    """

    look: Look | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    follower_count: int = 0
    task: asyncio.Task[None] | None = None

    async def latest(self) -> Look:
        """Return what was read last, as soon as there is something; raise why it was not."""
        while self.look is None:
            await self.changed.wait()
        if self.look.error is not None:
            raise self.look.error
        return self.look

    def show(self, look: Look) -> None:
        """Wake those who watch, if there is anything new for them."""
        if look == self.look:
            return
        self.look = look
        self.wake()

    def wake(self) -> None:
        """Wake those who watch."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class Feeds:
    """One feed for each recommendation that is watched, as long as it is.

    The store is read when the event bus has news, and at intervals for what another daemon has
    written, once for all who watch.
    """

    def __init__(
        self, store: Store, event_bus: EventBus, forecasts: Forecasts, clock: Clock
    ) -> None:
        self._store = store
        self._event_bus = event_bus
        self._forecasts = forecasts
        self._clock = clock
        self._feeds: dict[str, Feed] = {}

    @contextmanager
    def follow(self, recommendation_id: str, *, after_sequence: int) -> Iterator[Feed]:
        """Yield the feed of a recommendation.

        Args:
            recommendation_id: Which.
            after_sequence: The last event that the follower knows: a feed that begins with it
                reads on from there.
        """
        feed = self._feeds.get(recommendation_id)
        if feed is None:
            feed = self._feeds[recommendation_id] = Feed()
            feed.task = asyncio.create_task(self._read(recommendation_id, feed, after_sequence))
        feed.follower_count += 1
        try:
            yield feed
        finally:
            feed.follower_count -= 1
            if not feed.follower_count and feed.task is not None:
                feed.task.cancel()
                del self._feeds[recommendation_id]

    async def _read(self, recommendation_id: str, feed: Feed, after_sequence: int) -> None:
        last = Look(after_sequence=-1)
        with self._event_bus.subscribe(recommendation_id) as news:
            while True:
                news.clear()
                try:
                    if last.after_sequence < 0:
                        begin = await self._beginning(recommendation_id, after_sequence)
                        last = Look(after_sequence=begin)
                    look = await self._next(recommendation_id, last)
                except Exception as error:  # noqa: BLE001 - told to all who watch
                    look = Look(error=error)
                feed.show(look)
                if look.error is None:
                    found_more, last = look.sequence > last.sequence, look
                    if found_more:
                        continue
                if self._event_bus.is_closed:
                    feed.wake()
                await wait_for(news, self._clock, limit_s=POLL_S)

    async def _beginning(self, recommendation_id: str, after_sequence: int) -> int:
        """Return where to begin: what its first follower claims to know, if there is such."""
        if after_sequence > 0 and await self._store.events(
            recommendation_id, after_sequence=after_sequence - 1, limit=1
        ):
            return after_sequence
        return 0

    async def _next(self, recommendation_id: str, last: Look) -> Look:
        # The state is read first: what it ended with is then among the events.
        found = await self._store.get(recommendation_id)
        events = await self._store.events(recommendation_id, after_sequence=last.sequence)
        return Look(
            # Those who have not come round yet still take the last ones from here.
            events=events or last.events,
            after_sequence=last.sequence if events else last.after_sequence,
            has_ended=found.state.is_final and not events,
            waiting=await self._forecasts.of(found),
        )
