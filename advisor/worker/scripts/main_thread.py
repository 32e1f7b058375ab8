"""The main thread, in which scripts run: some of what they call works nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

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
