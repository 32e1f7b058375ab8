"""How trials are marked: a shape and a colour for each way in which they stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bsadvise.report.figures.parts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    Row,
    Spec,
    keyed,
    layer,
)
from bsadvise.report.trials import Standing

_CROSS = "M-0.7,-1L0,-0.3L0.7,-1L1,-0.7L0.3,0L1,0.7L0.7,1L0,0.3L-0.7,1L-1,0.7L-0.3,0L-1,-0.7Z"

_MARKS: dict[Standing, tuple[str, str, int]] = {
    Standing.ADVISED: (BLUE, "diamond", 220),
    Standing.REFERENCE: (VERMILLION, "square", 120),
    Standing.TIED: (GREEN, "circle", 80),
    Standing.BEHIND: (PURPLE, "triangle-up", 60),
    Standing.STOPPED: (GREY, "triangle-right", 45),
    Standing.OUT_OF_MEMORY: (ORANGE, "triangle-down", 70),
    Standing.FAILED: (VERMILLION, _CROSS, 60),
}
"""Colour, shape and size of each."""


def trial_marks(rows: Iterable[Row], x: Spec, y: Spec) -> list[Spec]:
    """Return layers of trials; each row says in "standing" how its trial stands."""
    rows = list(rows)
    present = {row["standing"] for row in rows}
    shown = [standing for standing in _MARKS if standing in present]
    names = [str(standing) for standing in shown]

    def encoding(place: int) -> Spec:
        values: list[Any] = [_MARKS[standing][place] for standing in shown]
        return keyed("standing", names, values)

    return [
        layer(
            [row for row in rows if row["standing"] == standing],
            {"type": "point", "filled": True, "opacity": 1, "size": _MARKS[standing][2]},
            x=x,
            y=y,
            color=encoding(0),
            shape=encoding(1),
        )
        for standing in reversed(shown)  # The advised setting last, so that it lies on top.
    ]
