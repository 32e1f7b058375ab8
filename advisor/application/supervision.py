"""Keeps the daemon's long tasks at work, whatever they raise, and knows which ones fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

_LOG = structlog.stdlib.get_logger(__name__)

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 30.0
"""Before a task that failed is begun again; the wait doubles from the first to the longest."""

STEADY_S = 60.0
"""A task that has worked for as long no longer counts as failing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A task that has failed more than once within a minute.

    Attributes:
        task: Its name.
        reason: What it raised last.
        is_essential: Whether the daemon cannot do its work without it.
    """

    task: str
    reason: str
    is_essential: bool


@dataclass(slots=True, kw_only=True)
class _Kept:
    """One task: how often it has failed in a row, when last, and with what."""

    task: str
    is_essential: bool
    count: int = 0
    at_s: float = 0.0
    reason: str = ""


class Supervisor:
    """Begins a task again when it raises; log, metrics and health say so."""

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic_s: Callable[[], float] = time.monotonic,
        count_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Make a supervisor that keeps no task yet.

        Args:
            sleep: Lets seconds pass.
            monotonic_s: A clock that never goes back.
            count_failure: Is told the name of a task for each failure.
        """
        self._sleep = sleep
        self._monotonic_s = monotonic_s
        self._count_failure = count_failure
        self._kept: list[_Kept] = []

    async def keep(
        self,
        task: str,
        work: Callable[[], Awaitable[None]],
        *,
        is_essential: bool = False,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        """Do some work until it returns; begin it again, after a while, whenever it raises.

        Args:
            task: Its name, as metrics tell it.
            work: The work.
            is_essential: Whether the daemon cannot do its own without it.
            longest_wait_s: The most seconds between a failure and the next beginning.
        """
        kept = _Kept(task=task, is_essential=is_essential)
        self._kept.append(kept)
        try:
            while (error := await self._attempt(kept, work)) is not None:
                wait_s = min(longest_wait_s, FIRST_WAIT_S * 2.0 ** min(kept.count - 1, 10))
                # Each doubling of the count, so that a task which fails at once fills no log.
                if kept.count.bit_count() == 1:
                    self._tell(task, error, failure_count=kept.count, wait_s=wait_s)
                await self._sleep(wait_s)
        finally:
            self._kept.remove(kept)

    def note(self, task: str, error: BaseException | str, **details: object) -> None:
        """Count and log a failure that its task has outlived."""
        self._count_failure(task)
        self._tell(task, error, **details)

    def failing(self) -> tuple[Failing, ...]:
        """Return the tasks that fail again and again."""
        now_s = self._monotonic_s()
        return tuple(
            Failing(task=kept.task, reason=kept.reason, is_essential=kept.is_essential)
            for kept in self._kept
            if kept.count > 1 and now_s - kept.at_s < STEADY_S
        )

    async def _attempt(self, kept: _Kept, work: Callable[[], Awaitable[None]]) -> Exception | None:
        begun_s = self._monotonic_s()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and work goes on
            kept.at_s = self._monotonic_s()
            kept.count = 1 if kept.at_s - begun_s >= STEADY_S else kept.count + 1
            kept.reason = f"{type(error).__name__}: {error}"
            self._count_failure(kept.task)
            return error
        return None

    def _tell(self, task: str, error: BaseException | str, **details: object) -> None:
        exc_info = error if isinstance(error, BaseException) else None
        # A log that cannot be written, for want of memory say, must end nothing else.
        with suppress(Exception):
            _LOG.error("task failed", task=task, error=str(error), exc_info=exc_info, **details)
