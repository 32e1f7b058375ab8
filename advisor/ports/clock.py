"""The time."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod


class Clock(ABC):
    """Tells the time and lets it pass."""

    @abstractmethod
    def now_s(self) -> float:
        """Return the Unix time in seconds. May jump."""

    @abstractmethod
    def monotonic_s(self) -> float:
        """Return seconds since some fixed point. Never goes back."""

    @abstractmethod
    async def sleep(self, duration_s: float) -> None:
        """Return after ``duration_s`` seconds."""


async def wait_for(event: asyncio.Event, clock: Clock, *, limit_s: float) -> None:
    """Return when ``event`` is set, or after ``limit_s`` seconds of ``clock``."""
    waits = (asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(limit_s)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
