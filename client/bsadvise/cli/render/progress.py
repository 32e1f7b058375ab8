"""Progress on stderr: a panel on a terminal, else one line a measurement."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from bsadvise.cli.render.output import make_console
from bsadvise.cli.render.standing import Standing
from bsadvise.model.recommendation import Event, Measured, StateChanged, Waiting
from bsadvise.phrases import (
    describe_outcome,
    describe_task,
    describe_waiting,
    is_next,
)

Show = Callable[[Event | Waiting], None]


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Show]:
    """Yield the function to which every event is given."""
    if quiet or sys.stderr is None:  # None where it was closed.
        yield lambda _: None
        return
    console = make_console(sys.stderr)
    # Not what rich takes for a terminal: FORCE_COLOR has it colour pipes, which cannot be redrawn.
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        from bsadvise.cli.render.panel import live_panel  # noqa: PLC0415 - not for pipes

        with live_panel(console) as show:
            yield show
    else:
        yield Lines(console).show


class Lines:
    """One line for each measurement."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._standing = Standing()
        self._first_at_s: float | None = None
        self._position: int | None = None

    def show(self, event: Event | Waiting) -> None:
        """Print the result that an event carries, if any, and a new place in the queue."""
        if isinstance(event, Waiting):
            now_s = time.time()
            if event.position != self._position and not is_next(event, now_s):
                self._console.print(describe_waiting(event, now_s), soft_wrap=True)
            self._position = event.position
            return
        if self._first_at_s is None:
            self._first_at_s = event.at_s
        best_before = self._standing.best_words()
        self._standing.take(event)
        text = self._line(event, best_before)
        if text:
            elapsed_s = max(0.0, event.at_s - self._first_at_s)
            # One line, whatever stands in an error's message: it must not look like another.
            words = " ".join(text.split())
            self._console.print(f"[{elapsed_s:6.1f} s] {words}", soft_wrap=True)

    def _line(self, event: Event, best_before: str) -> str | None:
        match event.happening:
            case Measured(measurement=measured):
                text = f"{describe_task(measured.command)}: {describe_outcome(measured.outcome)}"
                best = self._standing.best_words()
                return text if best == best_before else f"{text}; best so far {best}"
            case StateChanged(state=state):
                return str(state)
        return None
