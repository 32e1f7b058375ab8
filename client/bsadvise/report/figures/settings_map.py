"""Batch against learning rate: what was tried, how it ended, and the scaling model's best rate."""

from __future__ import annotations

from collections.abc import Sequence

from bsadvise.model.explanation import BestRate, Findings
from bsadvise.model.units import format_rate
from bsadvise.report.figures.marks import trial_marks
from bsadvise.report.figures.parts import (
    BLUE,
    Row,
    batch_axis,
    layer,
    layered,
    log_axis,
)
from bsadvise.report.trials import ShownTrial, Standing, count_of
from bsadvise.report.values import Figure, Table


def settings_map_figure(findings: Findings, trials: Sequence[ShownTrial]) -> Figure | None:
    """Return the figure; None where no trial was begun."""
    if not trials:
        return None
    scaling = findings.explanation.scaling if findings.explanation else None
    best_rates = () if scaling is None else scaling.best_rates
    ridge: list[Row] = [
        {
            "size": one.effective_batch_size,
            "rate": one.learning_rate.value,
            "low": one.learning_rate.interval.low,
            "high": one.learning_rate.interval.high,
        }
        for one in best_rates
    ]
    rows: list[Row] = [
        {
            "size": one.effective_batch_size,
            "rate": one.learning_rate,
            "standing": str(one.standing),
        }
        for one in trials
    ]
    x = batch_axis("size", "global batch, samples", [row["size"] for row in (*rows, *ridge)])
    y = log_axis(
        "rate",
        "learning rate",
        [row[end] for row in (*rows, *ridge) for end in ("rate", "low", "high") if end in row],
    )
    layers = [
        layer(
            ridge,
            {"type": "area", "color": BLUE, "opacity": 0.18},
            x=x,
            y={**y, "field": "low"},
            y2={"field": "high"},
        ),
        layer(ridge, {"type": "line", "color": BLUE, "strokeDash": [5, 3]}, x=x, y=y),
        *trial_marks(rows, x, y),
    ]
    return Figure(
        name="map",
        title="What was tried: batch and learning rate",
        description=_words(trials, best_rates),
        spec=layered(*layers, height=320),
        table=_table(trials, best_rates),
    )


def _words(trials: Sequence[ShownTrial], best_rates: Sequence[BestRate]) -> str:
    text = (
        f"{len(trials):,} settings were trained; {count_of(trials, Standing.STOPPED):,} were "
        f"stopped early, {count_of(trials, Standing.FAILED, Standing.OUT_OF_MEMORY):,} diverged, "
        "failed or ran out of memory. "
    )
    if best_rates:
        first, last = best_rates[0], best_rates[-1]
        text += (
            f"By the scaling model the best rate goes from "
            f"{format_rate(first.learning_rate.value)} at batch {first.effective_batch_size:,} to "
            f"{format_rate(last.learning_rate.value)} at {last.effective_batch_size:,}; the band "
            "holds 80 % of what agrees with the trials."
        )
    return text


def _interval(one: BestRate) -> str:
    low, high = one.learning_rate.interval.low, one.learning_rate.interval.high
    return f"scaling model, {format_rate(low)} to {format_rate(high)}"


def _table(trials: Sequence[ShownTrial], best_rates: Sequence[BestRate]) -> Table:
    tried = tuple(
        (
            str(one.number),
            f"{one.effective_batch_size:,}",
            format_rate(one.learning_rate),
            str(one.standing),
        )
        for one in trials
    )
    fitted = tuple(
        (
            "-",
            f"{one.effective_batch_size:,}",
            format_rate(one.learning_rate.value),
            _interval(one),
        )
        for one in best_rates
    )
    return Table(
        head=("trial", "batch", "learning rate", "how it stands"),
        rows=(*tried, *fitted),
        numeric=frozenset(range(3)),
    )
