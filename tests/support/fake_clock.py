"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio

from advisor.ports.clock import Clock


class FakeClock(Clock):
    """Time that passes only by ``advance`` and ``jump``."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self._now_s = now_s
        self._monotonic_s = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._slept = asyncio.Condition()

    def now_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    async def sleep(self, duration_s: float) -> None:
        if duration_s <= 0:
            await asyncio.sleep(0)
            return
        sleeper = (self._monotonic_s + duration_s, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        try:
            async with self._slept:
                self._slept.notify_all()
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    def advance(self, duration_s: float) -> None:
        """Let ``duration_s`` seconds pass, and wake every sleeper whose time has come."""
        self._now_s += duration_s
        self._monotonic_s += duration_s
        for wakes_at_s, future in self._sleepers:
            if wakes_at_s <= self._monotonic_s and not future.done():
                future.set_result(None)

    def jump(self, duration_s: float) -> None:
        """Set the wall clock forward, or back when negative, as an administrator might."""
        self._now_s += duration_s

    async def wait_for_sleepers(self, count: int = 1) -> None:
        """Return as soon as at least ``count`` tasks sleep on this clock."""
        async with self._slept:
            await self._slept.wait_for(lambda: len(self._sleepers) >= count)

    async def wait_for_light_sleeper(self, within_s: float) -> None:
        """Return as soon as a task sleeps that wakes within so many seconds."""
        async with self._slept:
            await self._slept.wait_for(
                lambda: any(
                    wakes_at_s <= self._monotonic_s + within_s and not future.done()
                    for wakes_at_s, future in self._sleepers
                )
            )
