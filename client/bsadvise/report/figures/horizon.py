"""A stated length: what was trained to its end, and how far it was carried."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.commands import Train
from bsadvise.model.explanation import Findings
from bsadvise.model.measurements import TrainRun
from bsadvise.model.units import format_number, format_rate, format_seconds
from bsadvise.report.figures.parts import (
    BLUE,
    GREEN,
    Row,
    Spec,
    keyed,
    layer,
    layered,
    log_axis,
)
from bsadvise.report.values import Figure, Table

_COMPLETE, _EXPECTED = "complete training", "expected at the stated length"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Complete:
    """A training that was run to the end of its schedule."""

    effective_batch_size: int
    learning_rate: float
    sample_count: int
    final_loss: float
    wall_s: float


def horizon_figure(findings: Findings) -> Figure | None:
    """Return the figure; None where no length was stated, or nothing is known of it."""
    advice = findings.recommendation.advice
    horizon = None if advice is None else advice.horizon
    complete = [
        _Complete(
            effective_batch_size=entry.command.effective_batch_size,
            learning_rate=entry.command.learning_rate,
            sample_count=entry.command.first_sample + entry.outcome.sample_count,
            final_loss=entry.outcome.held_out_loss,
            wall_s=entry.wall_s,
        )
        for entry in findings.log
        if isinstance(entry.command, Train)
        and isinstance(entry.outcome, TrainRun)
        and entry.command.schedule is not None
        and entry.command.step_count == entry.command.schedule.total_steps
        and entry.outcome.held_out_loss is not None
    ]
    if advice is None or horizon is None:
        return None
    rows: list[Row] = [
        {"samples": one.sample_count, "loss": one.final_loss, "what": _COMPLETE} for one in complete
    ]
    expected = advice.expected_final_loss
    ends: list[Row] = []
    if expected is not None:
        end = {"samples": horizon.total_samples, "loss": expected.value, "what": _EXPECTED}
        rows.append(end)
        ends.append({**end, "low": expected.low, "high": expected.high})
    spec: Spec | None = None
    if rows:
        x = log_axis("samples", "samples seen", [max(1, row["samples"]) for row in rows])
        y: Spec = {
            "field": "loss",
            "type": "quantitative",
            "title": "held-out loss at the end",
            "scale": {"zero": False},
            "axis": {"format": "~g"},
        }
        names = [name for name in (_COMPLETE, _EXPECTED) if any(r["what"] == name for r in rows)]
        shapes = {_COMPLETE: (GREEN, "circle"), _EXPECTED: (BLUE, "diamond")}
        spec = layered(
            layer(
                ends,
                {"type": "rule", "color": BLUE, "strokeWidth": 2},
                x=x,
                y={**y, "field": "low"},
                y2={"field": "high"},
            ),
            layer(
                rows,
                {"type": "point", "filled": True, "size": 90},
                x=x,
                y=y,
                color=keyed("what", names, [shapes[name][0] for name in names]),
                shape=keyed("what", names, [shapes[name][1] for name in names]),
            ),
            height=220,
        )
    words = (
        f"The advice is for {horizon.total_steps:,} steps, {horizon.total_samples:,} samples, on "
        f"the schedule {horizon.schedule}. {len(complete)} trainings were run to the end of a "
        "schedule of their own. "
    )
    if horizon.carried_factor is not None:
        words += (
            f"What they found was carried {format_number(horizon.carried_factor)} times as far. "
        )
    if expected is not None:
        words += (
            f"It is expected to end at {format_number(expected.value)} (80 %: "
            f"{format_number(expected.low)} to {format_number(expected.high)})."
        )
    return Figure(
        name="horizon",
        title="The stated length: measured, and carried",
        description=words.strip(),
        spec=spec,
        table=Table(
            head=("batch", "learning rate", "samples", "final loss", "took"),
            rows=tuple(
                (
                    f"{one.effective_batch_size:,}",
                    format_rate(one.learning_rate),
                    f"{one.sample_count:,}",
                    f"{one.final_loss:.4g}",
                    format_seconds(one.wall_s),
                )
                for one in complete
            ),
            numeric=frozenset(range(5)),
        ),
    )
