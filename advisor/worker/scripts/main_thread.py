"""The main thread, in which scripts run: some of what they call works nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
Function = Callable[[], object]


class MainThread:
    """Runs functions for other threads, one after another, while it is lent to them."""

    def __init__(self) -> None:
        self._functions: SimpleQueue[Function | None] | None = None

    def lend(self, function: Function) -> None:
        """Run a function in a thread of its own, and meanwhile what it starts in this one.

        To be called in the main thread. What the function started must have ended when it returns.

        Raises:
            BaseException: What the function raised.
        """
        functions: SimpleQueue[Function | None] = SimpleQueue()
        raised: list[BaseException] = []

        def run() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - raised again in the main thread
                raised.append(error)
            finally:
                functions.put(None)

        self._functions = functions
        threading.Thread(target=run, name="commands", daemon=True).start()
        try:
            while (started := functions.get()) is not None:
                started()
        finally:
            self._functions = None
        for error in raised:
            raise error

    def call(self, function: Callable[[], T]) -> T:
        """Return what a function returns that is run in the main thread.

        In this thread where it is the main one, or the main one is not lent.

        Raises:
            BaseException: What the function raised.
        """
        functions = self._functions
        if functions is None or threading.current_thread() is threading.main_thread():
            return function()
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - raised again where it was called
                future.set_exception(error)

        functions.put(run)
        return future.result()

    def start(self, function: Function) -> None:
        """Begin to run a function, which must not raise, and return at once.

        In the main thread where it is lent, else in a thread of the function's own.
        """
        if self._functions is not None:
            self._functions.put(function)
        else:
            threading.Thread(target=function, name="script", daemon=True).start()


MAIN_THREAD = MainThread()
"""That of this process."""
