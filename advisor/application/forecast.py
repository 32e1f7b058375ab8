"""Tells those who wait where they stand, and when their turn may come."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping

from bsadvise.model.recommendation import Recommendation, State, Waiting
from bsadvise.model.request import Priority

from advisor.ports.clock import Clock
from advisor.ports.store import DeviceQueue, QueueEntry, Store

FRESH_S = 1.0
"""Many may wait for one device; they share one read of its queue."""

_RANKS = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}


def forecast(queue: DeviceQueue, now_s: float) -> Mapping[str, Waiting]:
    """Return where each recommendation in a queue stands, if all take their whole budgets.

    Takes turns as the store's ``claim`` does, and lets each turn count for the next.
    """
    start_s = max(now_s, queue.busy_until_s or now_s)
    found: dict[str, Waiting] = {}
    for position, entry in enumerate(_turns(queue, start_s - now_s), start=1):
        found[entry.recommendation_id] = Waiting(position=position, expected_start_at_s=start_s)
        start_s += entry.budget_s
    return found


def _turns(queue: DeviceQueue, busy_s: float) -> Iterator[QueueEntry]:
    counts = {principal: share.device_count for principal, share in queue.shares.items()}
    used_s = {principal: share.device_s for principal, share in queue.shares.items()}
    if queue.busy_for in counts:
        counts[queue.busy_for] -= 1
        used_s[queue.busy_for] += busy_s
    for is_low in (False, True):
        own: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, entry in enumerate(queue.entries):
            if (entry.priority is Priority.LOW) is is_low:
                heapq.heappush(own[entry.principal], (_RANKS[entry.priority], number))
        heads = [(counts[whose], used_s[whose], *own[whose][0], whose) for whose in own]
        heapq.heapify(heads)
        while heads:
            *_, number, whose = heapq.heappop(heads)
            entry = queue.entries[number]
            yield entry
            used_s[whose] += entry.budget_s
            heapq.heappop(own[whose])
            if own[whose]:
                heapq.heappush(heads, (counts[whose], used_s[whose], *own[whose][0], whose))


class Forecasts:
    """Forecasts of the queues of all devices, each made at most once a second."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._made: dict[str, tuple[float, Mapping[str, Waiting]]] = {}

    async def of(self, recommendation: Recommendation) -> Waiting | None:
        """Return where a recommendation stands; None when it does not wait."""
        if recommendation.state is not State.QUEUED:
            return None
        device_id = recommendation.device.device_id
        async with self._locks[device_id]:
            made_s, waiting = self._made.get(device_id, (float("-inf"), {}))
            is_known = recommendation.recommendation_id in waiting
            if not is_known or self._clock.monotonic_s() - made_s >= FRESH_S:
                queue = await self._store.queue(device_id)
                waiting = forecast(queue, self._clock.now_s())
                self._made[device_id] = (self._clock.monotonic_s(), waiting)
        return waiting.get(recommendation.recommendation_id)
