"""The panel that shows a running recommendation on a terminal, drawn again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from bsadvise.cli.render.standing import MemoryUse, Standing, TrialCurve
from bsadvise.model.commands import Stage
from bsadvise.model.recommendation import Event, Measured, Waiting
from bsadvise.model.units import format_bytes, format_seconds

_WIDTH = 80
_ECHO_COLUMNS = 4
"""Left free, since the terminal writes ^C behind the last line: where that begins another line, the
next drawing would be one line too low."""
_BAR_COLUMNS = 12
_CURVE_COLUMNS = 16
_MOST_CURVES = 6
_LINES_BESIDE_CURVES = 10
_LEVELS = " ▁▂▃▄▅▆▇█"
_ASCII_LEVELS = " .:-=+*#%@"
_STAGES = tuple(Stage)


@contextmanager
def live_panel(console: Console) -> Iterator[Callable[[Event | Waiting], None]]:
    """Draw the panel while entered, and yield the function to which every event is given."""
    board = Board()
    with Live(board, console=console, transient=True, refresh_per_second=8):
        # Shown again at once: a process that is killed could not do so, and the terminal would
        # stay without one.
        console.show_cursor(show=True)
        yield board.show


class Board:
    """The panel's content as it is now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._standing = Standing()
        self._deadline_s: float | None = None
        self._spinners = {name: Spinner(name) for name in ("dots", "line")}

    def show(self, event: Event | Waiting) -> None:
        """Take an event in; the next drawing shows it."""
        self._standing.take(event)
        if isinstance(event, Event) and isinstance(event.happening, Measured):
            self._deadline_s = self._clock() + event.happening.remaining_s

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the panel."""
        standing = self._standing
        spinner = self._spinners["line" if options.ascii_only else "dots"]
        spinner.update(text=Text(standing.doing))
        rows: list[tuple[str, RenderableType]] = []
        if standing.stage in _STAGES:
            rows.append(("stage", _stages(standing.stage)))
        if standing.memory is not None:
            budget_bytes = standing.best.budget_bytes if standing.best else None
            rows.append(("memory", _memory(standing.memory, budget_bytes)))
        if standing.trials:
            room = max(1, min(_MOST_CURVES, console.height - _LINES_BESIDE_CURVES))
            rows.append(("trials", _curves(standing.leading(room), ascii_only=options.ascii_only)))
        rows += [
            ("best so far", Text(standing.best_words(), "bold")),
            ("measured", Text(standing.count_words())),
            ("time left", Text(self._time_left())),
        ]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="dim")
        table.add_column()
        for name, content in rows:
            table.add_row(Text(name), content)
        yield Panel(Group(spinner, table), width=min(_WIDTH, options.max_width) - _ECHO_COLUMNS)

    def _time_left(self) -> str:
        if self._deadline_s is None:
            return "-"
        left_s = max(0.0, self._deadline_s - self._clock())
        return f"at most {format_seconds(round(left_s))}" if left_s else "finishing"


def _stages(current: Stage) -> Text:
    text = Text()
    position = _STAGES.index(current)
    for index, stage in enumerate(_STAGES):
        style = "bold" if index == position else "green" if index < position else "dim"
        text.append(f"{'> ' if index == position else ''}{stage}  ", style)
    return text


def _memory(use: MemoryUse, budget_bytes: int | None) -> RenderableType:
    at = f"at batch {use.micro_batch_size:,}"
    if use.peak_bytes is None:
        return Text(f"out of memory {at}", "bold red")
    words = f"{format_bytes(use.peak_bytes)}"
    if budget_bytes:
        words += f" of {format_bytes(budget_bytes)}"
    words += f" {'measured' if use.was_run else 'predicted'} {at}"
    if not budget_bytes:
        return Text(words)
    fits = use.peak_bytes <= budget_bytes
    style = "green" if fits else "bold red"
    bar = Table.grid(padding=(0, 1, 0, 0))
    bar.add_row(
        ProgressBar(
            total=budget_bytes,
            completed=min(use.peak_bytes, budget_bytes),
            width=_BAR_COLUMNS,
            complete_style=style,
            finished_style=style,
        ),
        Text(words if fits else f"{words}: too large"),
    )
    return bar


def _curves(curves: Sequence[TrialCurve], *, ascii_only: bool) -> RenderableType:
    """Return a line for each trial: number, losses on one scale for all of them, setting, loss."""
    levels = _ASCII_LEVELS if ascii_only else _LEVELS
    losses = [[*curve.train_losses.values()] for curve in curves if curve.train_losses]
    low = min(map(min, losses), default=0.0)
    # What diverges would flatten all the others.
    high = max((curve[0] for curve in losses), default=1.0)
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(justify="right")
    table.add_column(width=_CURVE_COLUMNS)
    for curve in curves:
        loss, bars = curve.held_out_loss, [*curve.train_losses.values()]
        end = "failed" if curve.has_failed else "" if loss is None else f"{loss:.4g}"
        table.add_row(
            str(curve.number),
            Text(sparkline(bars, low, high, levels, _CURVE_COLUMNS), "cyan"),
            Text(curve.setting),
            Text(end, "red" if curve.has_failed else "bold"),
        )
    return table


def sparkline(
    values: Sequence[float], low: float, high: float, levels: str, most_columns: int
) -> str:
    """Return numbers as a line of bars.

    Args:
        values: The numbers, all finite.
        low: What the lowest bar stands for.
        high: What the highest bar stands for; higher values are shown as high.
        levels: Characters from no bar to the highest.
        most_columns: How long the line may be; longer sequences are shown by means.
    """
    count = min(len(values), most_columns)
    span, top = high - low, len(levels) - 1
    line = ""
    for column in range(count):
        part = values[column * len(values) // count : (column + 1) * len(values) // count]
        share = (sum(part) / len(part) - low) / span if span > 0 else 0.0
        line += levels[max(1, min(top, 1 + int(share * top)))]
    return line
