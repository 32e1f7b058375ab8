"""Progress on stderr: live on a terminal, else one line a measurement."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from bsadvise.cli.render.output import make_console
from bsadvise.model.advice import Advice
from bsadvise.model.recommendation import (
    CommandStarted,
    Event,
    Measured,
    State,
    StateChanged,
    Waiting,
)
from bsadvise.model.units import format_seconds
from bsadvise.phrases import (
    describe_advice,
    describe_outcome,
    describe_task,
    describe_waiting,
    is_next,
)

Show = Callable[[Event | Waiting], None]


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[Show]:
    """Yield the function to which every event is given."""
    console = make_console(sys.stderr)
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        board = Board()
        with Live(board, console=console, transient=True, refresh_per_second=8):
            yield board.show
    else:
        yield Lines(console).show


_STATE_WORDS = {State.QUEUED: "waiting for the device", State.RUNNING: "starting"}


@dataclass(slots=True)
class Standing:
    """Where a recommendation stands, after its events so far."""

    state: State = State.QUEUED
    doing: str = _STATE_WORDS[State.QUEUED]
    best: Advice | None = None
    remaining_s: float | None = None
    measurement_count: int = 0

    def take(self, event: Event | Waiting) -> None:
        """Take the next event in, or a new place in the queue."""
        if isinstance(event, Waiting):
            self.doing = describe_waiting(event, time.time())
            return
        match event.happening:
            case StateChanged(state=state):
                self.state = state
                self.doing = _STATE_WORDS.get(state, str(state))
            case CommandStarted(command=command):
                self.doing = describe_task(command)
            case Measured() as measured:
                self.measurement_count += 1
                self.best = measured.best or self.best
                self.remaining_s = measured.remaining_s

    def best_words(self) -> str:
        """Return the answer that would be given now, in words."""
        return describe_advice(self.best) if self.best else "none yet"

    def count_words(self) -> str:
        """Return how much was measured, in words."""
        words = f"{self.measurement_count} measured"
        if self.best is not None and self.best.search.trial_count:
            search = self.best.search
            words += f", trials: {search.trial_count} ({search.pruned_count} stopped early)"
        return words


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
            self._console.print(f"[{elapsed_s:6.1f} s] {text}", soft_wrap=True)

    def _line(self, event: Event, best_before: str) -> str | None:
        match event.happening:
            case Measured(measurement=measured):
                text = f"{describe_task(measured.command)}: {describe_outcome(measured.outcome)}"
                best = self._standing.best_words()
                return text if best == best_before else f"{text}; best so far {best}"
            case StateChanged(state=state):
                return str(state)
        return None


class Board:
    """Three lines that are drawn again and again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._standing = Standing()
        self._deadline_s: float | None = None
        self._spinner = Spinner("dots")

    def show(self, event: Event | Waiting) -> None:
        """Take an event in; the next drawing shows it."""
        self._standing.take(event)
        if isinstance(event, Event) and isinstance(event.happening, Measured):
            self._deadline_s = self._clock() + event.happening.remaining_s

    def __rich__(self) -> RenderableType:
        """Return the lines as they are now."""
        self._spinner.update(text=Text(self._standing.doing))
        best = Text.assemble(("  best so far  ", "dim"), (self._standing.best_words(), "bold"))
        counts = [self._standing.count_words()]
        if self._deadline_s is not None:
            left_s = max(0.0, self._deadline_s - self._clock())
            counts.append(
                f"at most {format_seconds(round(left_s))} left" if left_s else "finishing"
            )
        return Group(self._spinner, best, Text("  " + ", ".join(counts), style="dim"))
