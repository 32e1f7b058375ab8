"""Stops a run from outside, and kills the command that is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import Enum, auto
from typing import Any, TypeVar

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


class Brake:
    """Stops one run. The first reason stands.

    Attributes:
        reason: Why it was pulled; None while it was not.
    """

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self._pulled = asyncio.Event()

    def pull(self, reason: StopReason) -> None:
        """Stop the run at its next chance."""
        self.reason = self.reason or reason
        self._pulled.set()

    def check(self) -> None:
        """Raise Stopped if the brake was pulled."""
        if self.reason is not None:
            raise Stopped(self.reason)

    async def wait(self) -> None:
        """Return once the brake was pulled."""
        await self._pulled.wait()


async def run_until_stopped(work: Coroutine[Any, Any, T], brake: Brake) -> T:
    """Return what ``work`` returns, or end it when the brake is pulled.

    Raises:
        Stopped: The brake was pulled; ``work`` was cancelled and has ended.
    """
    running = asyncio.ensure_future(work)
    braking = asyncio.ensure_future(brake.wait())
    try:
        await asyncio.wait((running, braking), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            brake.check()
        return await running
    finally:
        running.cancel()
        braking.cancel()
        await asyncio.gather(running, braking, return_exceptions=True)
