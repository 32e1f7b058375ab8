"""Calls planners where they hold up nobody and can be ended.

What passes the checks is planned within a second by its size alone (``advisor.domain.limits``).
The limit here is for what nobody thought of: it costs one recommendation, not the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from advisor.kernel.threads import ThreadEnded, end_thread

T = TypeVar("T")

LIMIT_S = 30.0
"""Of one call, on however busy a machine."""


class PlanningTooLong(Exception):
    """A planner did not answer within its limit, and was ended."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"planning the next step took more than {limit_s:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningThread:
    """Calls functions, each in a thread of its own.

    Not in the loop's own threads: those cannot be ended, and a daemon's end waits for them.

    Attributes:
        limit_s: Seconds that a call may take.
    """

    limit_s: float = LIMIT_S

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401
        """Return what a function of pure Python returns. Cancelling ends it.

        Raises:
            PlanningTooLong: It took longer than the limit.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()
        # Held by whoever ends the thread, and by the thread when it has its result: past that it
        # tells the loop, and is not to be ended amid this.
        deciding, has_result = threading.Lock(), False

        def settle(result: T | None, error: Exception | None) -> None:
            if answer.done():  # Given up.
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type] # where there is no error

        def work() -> None:
            nonlocal has_result
            result: T | None = None
            failure: Exception | None = None
            try:
                try:
                    result = context.run(function, *arguments)
                except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
                    failure = error
                with deciding:
                    has_result = True
            except ThreadEnded:
                return
            with contextlib.suppress(RuntimeError):  # The loop has been closed.
                loop.call_soon_threadsafe(settle, result, failure)

        thread = threading.Thread(target=work, name="planning", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self.limit_s):
                return await answer
        except TimeoutError as error:
            raise PlanningTooLong(self.limit_s) from error
        finally:
            with deciding:
                if not has_result:
                    end_thread(thread)
