"""Ctrl-C and SIGTERM: once to stop well, twice to leave at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

import click

from bsadvise.model.errors import BsadviseError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, the first signal asks for a stop and the second raises KeyboardInterrupt.

    The stop is asked for from a thread of its own, so that the stream of events, which the main
    thread reads, goes on to the end that it leads to.
    """

    def __init__(self) -> None:
        self._requested = False
        self._stop: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}
        self._stopping: threading.Thread | None = None

    def __enter__(self) -> Self:
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
        if self._stopping is not None and error_class is not KeyboardInterrupt:
            self._stopping.join()  # Its call must not find the connection closed.

    def stop_with(self, stop: Callable[[], object]) -> None:
        """Say what stops the work; done at once if a signal has come already."""
        self._stop = stop
        if self._requested:
            self._stopping = _in_background(self._stop_quietly)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
        _in_background(self._announce)
        if self._stop is not None:
            self._stopping = _in_background(self._stop_quietly)

    def _announce(self) -> None:
        # Not in the handler: it may have come amid a write to the same stream.
        click.echo("Stopping: the best answer so far follows. Again to leave at once.", err=True)

    def _stop_quietly(self) -> None:
        # A daemon that is gone ends the stream of events too, and the main thread says so.
        with contextlib.suppress(BsadviseError):
            if self._stop is not None:
                self._stop()


def _in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
