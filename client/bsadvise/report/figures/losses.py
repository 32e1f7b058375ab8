"""Loss curves of the trials against modelled time, by which they are compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bsadvise.model.explanation import Findings, LossCurve
from bsadvise.model.units import format_number, format_rate, format_seconds
from bsadvise.report.figures.parts import (
    BLUE,
    GREY,
    VERMILLION,
    Row,
    Spec,
    keyed,
    layer,
    layered,
    log_axis,
    rule_across,
)
from bsadvise.report.trials import ShownTrial, Standing
from bsadvise.report.values import Figure, Table

_MOST_OTHERS = 60
"""Trials that are drawn beside the advised setting and the recipe: the best of them."""

_MOST_POINTS = 12
"""Of a curve that is neither the advised setting's nor the recipe's."""

_SHOWN_RISE = 0.5
"""Share of the whole fall of the loss, above the first loss, that is shown of curves that rise."""

_ADVISED, _REFERENCE, _OTHER = "advised", "your recipe", "other trials"


def losses_figure(findings: Findings, trials: Sequence[ShownTrial]) -> Figure | None:
    """Return the figure; None where no trial has a loss."""
    drawn = [(one, curve) for one in trials if (curve := _curve(one)).times_s]
    if not drawn:
        return None
    first = max(curve.losses[0] for _, curve in drawn)
    least = min(min(curve.losses) for _, curve in drawn)
    top = first + _SHOWN_RISE * max(first - least, 1e-12)
    rows = [row for one, curve in _leading(drawn) for row in _rows(one, curve)]
    x = log_axis("time", "modelled seconds of training", [row["time"] for row in rows])
    y: Spec = {
        "field": "loss",
        "type": "quantitative",
        "title": "held-out loss",
        # What rises far above where it began is cut off, so that the others can be told apart.
        "scale": {"domain": [least, top], "nice": True},
        "axis": {"format": ",~r"},
    }
    names = [name for name in (_OTHER, _REFERENCE, _ADVISED) if any(r["who"] == name for r in rows)]
    styles = {
        _OTHER: (GREY, [1, 0], 0.7),
        _REFERENCE: (VERMILLION, [6, 3], 2.2),
        _ADVISED: (BLUE, [1, 0], 2.6),
    }
    layers = [
        layer(
            [row for row in rows if row["who"] == name],
            {"type": "line", "clip": True, "opacity": 0.8, "strokeWidth": styles[name][2]},
            x=x,
            y=y,
            detail={"field": "trial", "type": "nominal"},
            color=keyed("who", names, [styles[name][0] for name in names]),
            strokeDash=keyed("who", names, [styles[name][1] for name in names]),
        )
        for name in names
    ]
    target = findings.recommendation.request.target_loss
    if target is not None and least <= target <= top:
        layers += rule_across(target, f"target {format_number(target)}")
    return Figure(
        name="losses",
        title="Loss of the trials at equal modelled time",
        description=_words(drawn, target),
        spec=layered(*layers),
        table=_table(drawn),
    )


def _curve(trial: ShownTrial) -> LossCurve:
    if trial.explained is None:
        return LossCurve(times_s=(), losses=())
    return trial.explained.held_out


def _leading(
    drawn: Sequence[tuple[ShownTrial, LossCurve]],
) -> list[tuple[ShownTrial, LossCurve]]:
    """Return what is drawn: beyond a number of curves none could be told from the others."""

    def place(pair: tuple[ShownTrial, LossCurve]) -> tuple[bool, float]:
        one = pair[0]
        is_other = one.standing is not Standing.ADVISED and not one.is_reference
        rank = one.explained.rank if one.explained is not None else None
        return is_other, math.inf if rank is None else rank

    return sorted(drawn, key=place)[: _MOST_OTHERS + 2]


def _rows(trial: ShownTrial, curve: LossCurve) -> list[Row]:
    who = _OTHER
    if trial.standing is Standing.ADVISED:
        who = _ADVISED
    elif trial.is_reference:
        who = _REFERENCE
    points = list(zip(curve.times_s, curve.losses, strict=True))
    if who == _OTHER and len(points) > _MOST_POINTS:
        step = (len(points) - 1) / (_MOST_POINTS - 1)
        points = [points[round(step * place)] for place in range(_MOST_POINTS)]
    return [
        {"trial": trial.number, "who": who, "time": time_s, "loss": loss} for time_s, loss in points
    ]


def _words(drawn: Sequence[tuple[ShownTrial, LossCurve]], target: float | None) -> str:
    text = ""
    for one, curve in drawn:
        if one.standing is Standing.ADVISED or one.is_reference:
            who = "The advised setting" if one.standing is Standing.ADVISED else "Your recipe"
            text += (
                f"{who} came from {format_number(curve.losses[0])} to "
                f"{format_number(curve.losses[-1])} in {format_seconds(curve.times_s[-1])}. "
            )
    if target is not None:
        text += f"The target is {format_number(target)}. "
    if len(drawn) > _MOST_OTHERS + 2:
        text += f"Of {len(drawn):,} curves the {_MOST_OTHERS + 2} leading ones are drawn. "
    return text + (
        "Time is steps times the measured time of a step, so that a busy machine does not change "
        "who leads; curves that rise far are cut off."
    )


def _table(drawn: Sequence[tuple[ShownTrial, LossCurve]]) -> Table:
    return Table(
        head=("trial", "batch", "learning rate", "steps", "modelled time",
              "lowest loss", "last loss", "how it stands"),
        rows=tuple(
            (
                str(one.number),
                f"{one.effective_batch_size:,}",
                format_rate(one.learning_rate),
                f"{one.step_count:,}",
                format_seconds(curve.times_s[-1]),
                f"{min(curve.losses):.4g}",
                f"{curve.losses[-1]:.4g}",
                str(one.standing),
            )
            for one, curve in drawn
        ),
        numeric=frozenset(range(7)),
    )  # fmt: skip
