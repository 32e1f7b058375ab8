"""Ctrl-C and SIGTERM: once to stop well, twice to leave at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from bsadvise.cli.render.output import say_aside
from bsadvise.model.errors import BsadviseError, NothingToSay

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAY_LIMIT_S = 1.0


class Interrupts:
    """While entered, the first signal asks for a stop and the second ends the process.

    The interpreter writes the number of each signal to a pipe as it comes, and a thread that reads
    it does the rest. Python's own handlers run in the main thread, which may be about to block,
    in a write to a stderr that nobody reads say, and then runs none; an exception raised in one
    is lost where it comes amid a destructor or a weak reference's callback. The main thread reads
    the stream of events on to the end that the stop leads to. The other one acts before it speaks:
    whoever should read stderr may be gone, or not reading.

    A signal that is ignored stays so, as in a script's background and under nohup.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested = False
        self._stop: Callable[[], object] | None = None
        self._stopping: threading.Thread | None = None
        self._before: dict[int, Any] = {}
        self._count = 0

    def __enter__(self) -> Self:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._reader = _in_background(self._read)
        self._woken_before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            # None stands for one that is not Python's, which cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._woken_before)
        os.close(self._write_end)
        self._reader.join()
        os.close(self._read_end)
        if self._stopping is not None:
            self._stopping.join()  # Its call must not find the connection closed.

    def stop_with(self, stop: Callable[[], object]) -> None:
        """Say what stops the work; done at once if a signal has come already."""
        with self._lock:
            self._stop = stop
            if self._requested:
                self._stopping = _in_background(self._stop_quietly)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > len(("stop", "leave")):
            os._exit(NothingToSay.exit_code)  # The thread is held up, by whatever it may be.

    def _has_come(self) -> bool:
        """Wait for the next signal; return whether one came before the end."""
        while number := os.read(self._read_end, 1):
            if number[0] in _SIGNALS:
                return True
        return False

    def _read(self) -> None:
        if not self._has_come():
            return
        with self._lock:
            self._requested = True
            if self._stop is not None:
                self._stopping = _in_background(self._stop_quietly)
        _say("Stopping: the best answer so far follows. Again to leave at once.")
        if self._has_come():
            _say("bsadvise: interrupted")
            # The main thread may be anywhere. What it holds ends with the process: a private
            # daemon lives as long as its standard input, and tidies up after both.
            os._exit(NothingToSay.exit_code)

    def _stop_quietly(self) -> None:
        # A daemon that is gone ends the stream of events too, and the main thread says so.
        with contextlib.suppress(BsadviseError):
            if self._stop is not None:
                self._stop()


def _say(text: str) -> None:
    """Write to stderr, and wait for that a moment alone: a full pipe would hold up the rest."""

    def write_quietly() -> None:
        with contextlib.suppress(OSError, ValueError):  # broken, or closed
            say_aside(text)

    _in_background(write_quietly).join(_SAY_LIMIT_S)


def _in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
