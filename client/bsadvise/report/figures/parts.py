"""What the figures have in common: colours, axes, marks.

The colours are Okabe and Ito's, which colour-blind readers tell apart; each goes with a shape or a
dash of its own. ``currentColor`` is the page's text colour, light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

Spec = dict[str, Any]
Row = dict[str, Any]

BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, GREY, INK = "#e69f00", "#56b4e9", "#808080", "currentColor"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY)

WIDTH, HEIGHT = 620, 280
"""Of the area within the axes, in units of the drawing; a page scales it."""

_ROOM = 1.25
"""A logarithmic axis goes on by this factor at both ends, so that no mark lies on its edge."""


def layered(*layers: Spec, height: int = HEIGHT, width: int = WIDTH) -> Spec:
    """Return a figure of layers over shared axes; those without rows are left out."""
    shown = [one for one in layers if one["data"]["values"]]
    return {"width": width, "height": height, "layer": shown}


def layer(rows: Iterable[Row], mark: Spec, **encoding: Spec) -> Spec:
    """Return a layer of marks, one a row or one for all."""
    return {"data": {"values": [_rounded(row) for row in rows]}, "mark": mark, "encoding": encoding}


def _rounded(row: Row) -> Row:
    return {
        name: float(f"{value:.5g}") if isinstance(value, float) else value
        for name, value in row.items()
    }


def batch_axis(field: str, title: str, sizes: Sequence[float]) -> Spec:
    """Return an axis of batch sizes, by powers of two."""
    low, high = min(sizes), max(sizes)
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    step = max(1, math.ceil((last - first) / 12))
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "base": 2, "domain": [low / _ROOM, high * _ROOM], "nice": False},
        "axis": {
            "values": [2**power for power in range(max(0, first), last + 1, step)],
            "format": ",d",
        },
    }


def log_axis(field: str, title: str, values: Sequence[float]) -> Spec:
    """Return a logarithmic axis of what is above 0."""
    low, high = min(values) / _ROOM, max(values) * _ROOM
    span = math.log10(high / low)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    parts = (1,) if span > 2 else (1, 2, 5) if span > 0.7 else (1, 1.5, *range(2, 10))
    ticks = [
        part * 10.0**power for power in decades[:: max(1, len(decades) // 8)] for part in parts
    ]
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "domain": [low, high], "nice": False},
        "axis": {
            "values": [float(f"{tick:.6g}") for tick in ticks if low <= tick <= high],
            "format": "~g",
        },
    }


def linear_axis(field: str, title: str, *, from_zero: bool = True) -> Spec:
    """Return a linear axis."""
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": from_zero},
        "axis": {"format": ",~r"},
    }


def keyed(field: str, names: Sequence[str], values: Sequence[Any], *, legend: str = "top") -> Spec:
    """Return an encoding that gives each name a value, with a legend above or beside the figure."""
    return {
        "field": field,
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(names), "range": list(values)},
        "legend": {"orient": legend, "columns": 4 if legend == "top" else 1},
    }


def rule_across(y: float, text: str, dash: Sequence[int] = (6, 3)) -> list[Spec]:
    """Return a labelled line across the figure at a height."""
    rows = [{"y": y, "text": text}]
    at = {"field": "y", "type": "quantitative"}
    return [
        layer(rows, {"type": "rule", "color": INK, "strokeDash": list(dash)}, y=at),
        layer(
            rows,
            {"type": "text", "align": "left", "baseline": "bottom", "dx": 4, "dy": -2},
            x={"value": 0},
            y=at,
            text={"field": "text"},
        ),
    ]


def rule_up(x: float, text: str, line: int = 0) -> list[Spec]:
    """Return a labelled line up the figure, its label so many lines below the top."""
    rows = [{"x": x, "text": text}]
    at = {"field": "x", "type": "quantitative"}
    return [
        layer(rows, {"type": "rule", "color": INK, "strokeDash": [2, 3]}, x=at),
        layer(
            rows,
            {"type": "text", "align": "left", "baseline": "top", "dx": 4},
            x=at,
            y={"value": 2 + 14 * line},
            text={"field": "text"},
        ),
    ]


def byte_unit(most_bytes: float) -> tuple[float, str]:
    """Return the binary unit in which a size is a number of at least 1, with its name."""
    for power, name in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if most_bytes >= 1 << power:
            return float(1 << power), name
    return 1.0, "bytes"
