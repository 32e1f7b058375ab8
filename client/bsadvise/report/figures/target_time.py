"""Time to the target loss by batch: what was trained, and the scaling model's curve."""

from __future__ import annotations

from collections.abc import Sequence

from bsadvise.model.explanation import BestRate, Findings
from bsadvise.model.units import format_number, format_rate, format_seconds
from bsadvise.report.figures.marks import trial_marks
from bsadvise.report.figures.parts import (
    BLUE,
    Row,
    batch_axis,
    layer,
    layered,
    log_axis,
    rule_up,
)
from bsadvise.report.trials import ShownTrial, Standing
from bsadvise.report.values import Figure, Table

_MOST_TIMES = 64.0
"""Times the best, above which all is drawn as so much: what is below would be flat beside it."""


def target_time_figure(findings: Findings, trials: Sequence[ShownTrial]) -> Figure | None:
    """Return the figure; None where no two trials compare."""
    explained = [one for one in trials if one.explained is not None]
    unit_s = _best_time_s(explained)
    placed = [(one, time) for one in explained if (time := _time(one, unit_s)) is not None]
    if not placed:
        return None
    scaling = findings.explanation.scaling if findings.explanation else None
    curve = [] if scaling is None else _curve(scaling.best_rates, unit_s or 1.0)
    most = _MOST_TIMES * min(time for _, time in placed)
    shown = [(one, time) for one, time in placed if time <= most]
    curve = [
        {**row, "time": min(row["time"], most), "high": min(row["high"], most)}
        for row in curve
        if row["low"] <= most
    ]
    rules = (
        ()
        if findings.recommendation.advice is None
        else (findings.recommendation.advice.rules_of_thumb)
    )
    sizes = [one.effective_batch_size for one, _ in shown] + [row["size"] for row in curve]
    what = "time to the target, s" if unit_s else "training time, times the best"
    times = [time for _, time in shown] + [row["time"] for row in curve]
    x = batch_axis("size", "global batch, samples", sizes)
    y = log_axis("time", what, times)
    layers = [
        layer(
            curve,
            {"type": "area", "color": BLUE, "opacity": 0.18, "clip": True},
            x=x,
            y={**y, "field": "low"},
            y2={"field": "high"},
        ),
        layer(curve, {"type": "line", "color": BLUE, "strokeDash": [5, 3]}, x=x, y=y),
        *trial_marks(
            [
                {"size": one.effective_batch_size, "time": time, "standing": str(one.standing)}
                for one, time in shown
            ],
            x,
            y,
        ),
    ]
    inside = [rule for rule in rules if min(sizes) <= rule.effective_batch_size <= max(sizes)]
    for line, rule in enumerate(inside):
        words = f"rule of thumb: {rule.effective_batch_size:,}"
        layers += rule_up(rule.effective_batch_size, words, line=line)
    return Figure(
        name="target-time",
        title="Time to the target loss by batch",
        description=_words(shown, unit_s, curve, [rule.rule for rule in rules]),
        spec=layered(*layers),
        table=_table(placed, unit_s),
    )


def _best_time_s(trials: Sequence[ShownTrial]) -> float | None:
    """Return the seconds of the best trial to the target; None where it has not reached it."""
    for one in trials:
        if one.explained is not None and one.explained.rank == 1:
            return one.explained.time_to_target_s
    return None


def _time(trial: ShownTrial, unit_s: float | None) -> float | None:
    """Return the time of a trial, in seconds where the best has one, else times the best's."""
    explained = trial.explained
    if explained is None:
        return None
    if unit_s is not None and explained.time_to_target_s is not None:
        return explained.time_to_target_s
    if explained.behind_doublings is None or explained.behind_doublings > 60:
        return None
    time: float = (unit_s or 1.0) * 2**explained.behind_doublings
    return time


def _curve(best_rates: Sequence[BestRate], unit: float) -> list[Row]:
    return [
        {
            "size": one.effective_batch_size,
            "time": unit * one.relative_time.value,
            "low": unit * one.relative_time.interval.low,
            "high": unit * one.relative_time.interval.high,
        }
        for one in best_rates
    ]


def _words(
    shown: Sequence[tuple[ShownTrial, float]],
    unit_s: float | None,
    curve: Sequence[Row],
    rules: Sequence[str],
) -> str:
    def said(time: float) -> str:
        return format_seconds(time) if unit_s else f"{format_number(time)} times the best"

    words = []
    for standing, name in ((Standing.ADVISED, "the advised setting"), (None, "your recipe")):
        for one, time in shown:
            is_it = one.is_reference if standing is None else one.standing is standing
            if is_it:
                batch = f"batch {one.effective_batch_size:,}, lr {format_rate(one.learning_rate)}"
                words.append(f"{name} ({batch}): {said(time)}")
                break
    text = "; ".join(words)
    if text:
        text = text[0].upper() + text[1:] + ". "
    if curve:
        text += (
            "The dashed line is the scaling model's median with the best rate of each batch, its "
            "band holds 80 %. "
        )
    if unit_s and any(
        one.explained is not None and one.explained.time_to_target_s is None for one, _ in shown
    ):
        text += (
            "Trials that did not reach the target stand where they are predicted to, as if they "
            "had needed no longer than that. "
        )
    if not unit_s:
        text += "The best has not reached the target within its trial, so that times are relative. "
    return text + "".join(f"Rule of thumb: {rule}. " for rule in rules)


def _table(placed: Sequence[tuple[ShownTrial, float]], unit_s: float | None) -> Table:
    return Table(
        head=("batch", "learning rate", "seconds" if unit_s else "times the best", "how it stands"),
        rows=tuple(
            (
                f"{one.effective_batch_size:,}",
                format_rate(one.learning_rate),
                format_number(time),
                _standing(one),
            )
            for one, time in sorted(placed, key=lambda pair: pair[1])
        ),
        numeric=frozenset({0, 1, 2}),
    )


def _standing(one: ShownTrial) -> str:
    if one.is_reference and one.standing is not Standing.REFERENCE:
        return f"{one.standing}, {Standing.REFERENCE}"
    return str(one.standing)
