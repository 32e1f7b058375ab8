"""The time."""

from __future__ import annotations

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
