"""Ctrl-C and SIGTERM: once to stop well, twice to leave at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

import click

from bsadvise.model.errors import BsadviseError, NothingToSay

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, the first signal asks for a stop and the second ends the process.

    The handlers write to a pipe and do nothing else: an exception raised in a handler is lost
    where it comes amid a destructor or a weak reference's callback, and a lock taken in one may
    be held by what it came amid. The thread that reads the pipe does the rest, while the main
    thread reads the stream of events on to the end that the stop leads to.
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
        self._reader = _in_background(self._read)
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
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
            os._exit(NothingToSay.exit_code)  # Whoever reads what the thread prints does not.
        os.write(self._write_end, b"\0")

    def _read(self) -> None:
        if not os.read(self._read_end, 1):
            return
        click.echo("Stopping: the best answer so far follows. Again to leave at once.", err=True)
        with self._lock:
            self._requested = True
            if self._stop is not None:
                self._stopping = _in_background(self._stop_quietly)
        if os.read(self._read_end, 1):
            click.echo("bsadvise: interrupted", err=True)
            # The main thread may be anywhere. What it holds ends with the process: a private
            # daemon lives as long as its standard input, and tidies up after both.
            os._exit(NothingToSay.exit_code)

    def _stop_quietly(self) -> None:
        # A daemon that is gone ends the stream of events too, and the main thread says so.
        with contextlib.suppress(BsadviseError):
            if self._stop is not None:
                self._stop()


def _in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
