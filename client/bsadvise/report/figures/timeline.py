"""What the search spent its seconds on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bsadvise.model.commands import Stage, stage_of
from bsadvise.model.explanation import Findings
from bsadvise.model.measurements import Failed, Measurement, OutOfMemory, TimedOut
from bsadvise.model.units import format_seconds
from bsadvise.report.figures.parts import (
    BLUE,
    VERMILLION,
    Row,
    keyed,
    layer,
    layered,
    linear_axis,
)
from bsadvise.report.values import Figure, Table

_DONE, _FAILED = "measured", "failed, timed out or out of memory"
_MOST_BARS = 160
"""Beyond it neighbours of one stage are drawn as one: they would be narrower than a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    stage: str
    what: str
    begin_s: float
    end_s: float


def timeline_figure(findings: Findings) -> Figure | None:
    """Return the figure; None where nothing was measured."""
    if not findings.log:
        return None
    bars, now_s = [], 0.0
    for entry in findings.log:
        bars.append(
            _Bar(
                stage=str(stage_of(entry.command)),
                what=_what(entry),
                begin_s=now_s,
                end_s=now_s + entry.wall_s,
            )
        )
        now_s += entry.wall_s
    drawn = bars if len(bars) <= _MOST_BARS else _merged(bars)
    known = [str(stage) for stage in Stage]
    seen = {bar.stage for bar in bars}
    stages = [name for name in known if name in seen] + sorted(seen - set(known))
    rows: list[Row] = [
        {"stage": bar.stage, "what": bar.what, "begin": bar.begin_s, "end": bar.end_s}
        for bar in drawn
    ]
    names = [name for name in (_DONE, _FAILED) if any(bar.what == name for bar in drawn)]
    colours = {_DONE: BLUE, _FAILED: VERMILLION}
    dashes = {_DONE: [1, 0], _FAILED: [2, 2]}
    spec = layered(
        layer(
            rows,
            {"type": "bar", "strokeWidth": 1, "stroke": "currentColor", "height": {"band": 0.7}},
            x=linear_axis("begin", "seconds of the search"),
            x2={"field": "end"},
            y={"field": "stage", "type": "nominal", "sort": stages, "title": None},
            color=keyed("what", names, [colours[name] for name in names]),
            strokeDash=keyed("what", names, [dashes[name] for name in names]),
        ),
        height=28 * len(stages),
    )
    return Figure(
        name="timeline",
        title="What the search spent its seconds on",
        description=_words(bars, stages),
        spec=spec,
        table=_table(bars, stages),
    )


def _what(entry: Measurement) -> str:
    return _FAILED if isinstance(entry.outcome, Failed | TimedOut | OutOfMemory) else _DONE


def _merged(bars: list[_Bar]) -> list[_Bar]:
    merged: list[_Bar] = []
    for bar in bars:
        last = merged[-1] if merged else None
        if last is not None and (last.stage, last.what) == (bar.stage, bar.what):
            merged[-1] = replace(last, end_s=bar.end_s)
        else:
            merged.append(bar)
    return merged


def _spent_s(bars: list[_Bar], stage: str) -> float:
    return sum(bar.end_s - bar.begin_s for bar in bars if bar.stage == stage)


def _words(bars: list[_Bar], stages: list[str]) -> str:
    total_s = bars[-1].end_s
    longest = max(stages, key=lambda stage: _spent_s(bars, stage))
    share = _spent_s(bars, longest) / total_s if total_s else 1.0
    return (
        f"{len(bars):,} measurements took {format_seconds(total_s)}, {share:.0%} of it for the "
        f"stage “{longest}”."
    )


def _table(bars: list[_Bar], stages: list[str]) -> Table:
    return Table(
        head=("stage", "measurements", "failed", "took"),
        rows=tuple(
            (
                stage,
                f"{sum(bar.stage == stage for bar in bars):,}",
                f"{sum(bar.stage == stage and bar.what == _FAILED for bar in bars):,}",
                format_seconds(_spent_s(bars, stage)),
            )
            for stage in stages
        ),
        numeric=frozenset({1, 2, 3}),
    )
