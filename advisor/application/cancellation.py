"""Stops a run from outside, and kills the command that is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import Enum, auto
from typing import Any, TypeVar

from advisor.ports.clock import Clock

T = TypeVar("T")


class StopReason(Enum):
    """Why a run is stopped before its end."""

    CANCEL = auto()
    """Its client has asked for it."""
    DRAIN = auto()
    """The daemon is stopping; the run goes on in another."""
    LEASE_LOST = auto()
    """Another daemon works on it."""


class Stopped(Exception):
    """A run was stopped; ``reason`` says why."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason.name)
        self.reason = reason


class Cancellation:
    """A request that one run stops. The first reason stands.

    Attributes:
        reason: Why it was asked for; None while it was not.
    """

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self._requested = asyncio.Event()

    def request(self, reason: StopReason) -> None:
        """Have the run stop as soon as it can."""
        self.reason = self.reason or reason
        self._requested.set()

    def check(self) -> None:
        """Raise Stopped if it was asked for."""
        if self.reason is not None:
            raise Stopped(self.reason)

    async def wait(self) -> None:
        """Return once it was asked for."""
        await self._requested.wait()


async def within(limit_s: float, work: Coroutine[Any, Any, T], clock: Clock) -> T | None:
    """Return what ``work`` returns, or None when that takes longer than a time in seconds."""
    running = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(clock.sleep(limit_s))
    try:
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        return await running if running.done() else None
    finally:
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)


async def run_until_stopped(work: Coroutine[Any, Any, T], cancellation: Cancellation) -> T:
    """Return what ``work`` returns, or end it when cancellation is asked for.

    Raises:
        Stopped: It was asked for; ``work`` was cancelled and has ended.
    """
    running = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(cancellation.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            cancellation.check()
        return await running
    finally:
        running.cancel()
        stopping.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)
