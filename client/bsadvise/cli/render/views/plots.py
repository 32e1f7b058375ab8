"""A job's measurements, drawn: memory and throughput by micro-batch, and the trials' losses."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from string import ascii_lowercase

from rich.console import Group, RenderableType
from rich.text import Text

from bsadvise.cli.render.standing import Standing, TrialCurve, memory_use
from bsadvise.cli.render.views.layout import pairs, sections
from bsadvise.model.advice import Advice
from bsadvise.model.commands import TimeSteps
from bsadvise.model.errors import BsadviseError
from bsadvise.model.measurements import Measurement, StepTimes
from bsadvise.model.units import format_bytes, format_number

_WIDTH = 80
_COLUMNS, _LINES = 66, 8  # of the area between the axes
_MOST_TRIALS = 6
_NOTHING = Text("Nothing was measured for it: its answer was remembered, or it has not begun.")

Points = Mapping[float, float]


@dataclass(frozen=True, slots=True)
class _Scale:
    """An axis: where a number lies on it, and what is written at a place on it."""

    place: Callable[[float], float]
    words: Callable[[float], str]


def _short(value: float) -> str:
    """Return a number in at most 6 characters, such as "1.05M"."""
    for step, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= step:
            return f"{value / step:.3g}{unit}"
    return f"{value:.3g}"


_BATCHES = _Scale(math.log2, lambda place: _short(round(2**place)))
_BYTES = _Scale(math.log2, lambda place: format_bytes(2**place))
_SAMPLES = _Scale(float, _short)
_FIGURES = _Scale(float, format_number)


def plots_view(log: Sequence[Measurement], advice: Advice | None) -> RenderableType:
    """Return drawings of what was measured, 80 columns wide; what was not is left out.

    Raises:
        BsadviseError: They cannot be drawn here.
    """
    encoding = sys.stdout.encoding or "ascii"
    if "utf" not in encoding.lower():
        raise BsadviseError(
            f"--plot draws with characters that {encoding} lacks: set a UTF-8 locale, such as "
            "LC_ALL=C.UTF-8, or see the figures with --log"
        )
    parts = (_memory(log, advice), _throughput(log), _losses(log))
    drawn = [part for part in parts if part is not None]
    return sections(*drawn) if drawn else _NOTHING


def _memory(log: Sequence[Measurement], advice: Advice | None) -> tuple[str, Text] | None:
    predicted: dict[float, float] = {}
    measured: dict[float, float] = {}
    for use in filter(None, map(memory_use, log)):
        if use.peak_bytes:
            (measured if use.was_run else predicted)[use.micro_batch_size] = use.peak_bytes
    if not predicted and not measured:
        return None
    title, limit_bytes = "Memory by micro-batch: o predicted, x measured", None
    if advice is not None and advice.budget_bytes:
        limit_bytes = advice.budget_bytes
        title += f", line: limit {format_bytes(limit_bytes)}"
    return title, _drawn({"o": predicted, "x": measured}, _BATCHES, _BYTES, line=limit_bytes)


def _throughput(log: Sequence[Measurement]) -> tuple[str, Text] | None:
    rates = {
        float(one.command.micro_batch_size): one.command.micro_batch_size
        / median(one.outcome.step_times_s)
        for one in log
        if isinstance(one.command, TimeSteps)
        and isinstance(one.outcome, StepTimes)
        and one.outcome.step_times_s
    }
    if not rates:
        return None
    return "Throughput by micro-batch, samples/s", _drawn({"x": rates}, _BATCHES, _FIGURES)


def _losses(log: Sequence[Measurement]) -> tuple[str, RenderableType] | None:
    standing = Standing()
    for one in log:
        standing.take_training(one)
    trials = [trial for trial in standing.leading(_MOST_TRIALS) if trial.train_losses]
    if not trials:
        return None
    # What diverges would flatten all the others.
    highest = max(next(iter(trial.train_losses.values())) for trial in trials)
    marked = dict(zip(ascii_lowercase, trials, strict=False))
    series = {
        marker: {count: loss for count, loss in trial.train_losses.items() if loss <= highest}
        for marker, trial in reversed(marked.items())  # The best is drawn last, above the others.
    }
    legend = pairs((marker, _trial_words(trial)) for marker, trial in marked.items())
    plot = _drawn(series, _SAMPLES, _FIGURES)
    return "Training loss by samples", Group(plot, legend)


def _trial_words(trial: TrialCurve) -> str:
    words = f"trial {trial.number}, {trial.setting}"
    if trial.has_failed:
        return f"{words}: failed"
    loss = trial.held_out_loss
    return words if loss is None else f"{words}: held-out loss {loss:.4g}"


def _drawn(
    series: Mapping[str, Points], x: _Scale, y: _Scale, *, line: float | None = None
) -> Text:
    """Return points between axes.

    Args:
        series: Points by the character that marks them; where they meet, later ones are seen.
        x: The axis to the right.
        y: The axis upward.
        line: Where to draw a horizontal line too.
    """
    try:
        from plotille import Figure  # noqa: PLC0415 - an extra
    except ImportError:
        raise BsadviseError(
            "--plot needs plotille: pip install 'bsadvise[plot]'; --log has the figures"
        ) from None
    figure = Figure()
    figure.with_colors = figure.origin = False
    figure.width, figure.height = _COLUMNS, _LINES
    figure.x_ticks_fkt = lambda place, _: x.words(place)
    figure.y_ticks_fkt = lambda place, _: y.words(place)
    heights = [y.place(value) for points in series.values() for value in points.values()]
    widths = [x.place(value) for points in series.values() for value in points]
    x_limits = _limits(widths)
    if line is not None:
        heights.append(y.place(line))
        figure.plot(x_limits, [heights[-1]] * 2)
    figure.set_x_limits(*x_limits)
    figure.set_y_limits(*_limits(heights))
    for marker, points in series.items():
        if points:
            figure.scatter([*map(x.place, points)], [*map(y.place, points.values())], marker=marker)
    # Without the line that names the axis upward, and the arrow behind the other one.
    lines = figure.show().splitlines()[1:]
    return Text("\n".join(text[:_WIDTH].rstrip() for text in lines), no_wrap=True)


def _limits(places: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis, a little apart from the points."""
    low, high = min(places), max(places)
    room = (high - low) * 0.05 or max(abs(low) * 0.05, 0.5)
    return max(0.0, low - room) if low >= 0 else low - room, high + room
