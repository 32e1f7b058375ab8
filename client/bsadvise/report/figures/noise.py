"""The gradient noise scale as it settles over the steps of the reference recipe."""

from __future__ import annotations

from bsadvise.model.explanation import Findings
from bsadvise.model.units import format_number
from bsadvise.report.figures.parts import (
    BLUE,
    layer,
    layered,
    linear_axis,
    log_axis,
    rule_across,
)
from bsadvise.report.values import Figure, Table


def noise_figure(findings: Findings) -> Figure | None:
    """Return the figure; None where the noise scale was not measured."""
    known = () if findings.explanation is None else findings.explanation.noise_scales
    points = [point for point in known if point.noise_scale > 0]
    if not points:
        return None
    bounded = [
        {
            "steps": point.step_count,
            "low": point.interval.low,
            "high": point.interval.high,
        }
        for point in points
        if point.interval is not None
    ]
    rows = [{"steps": point.step_count, "noise": point.noise_scale} for point in points]
    ends = [row[end] for row in bounded for end in ("low", "high")]
    x = linear_axis("steps", "steps of the reference recipe", from_zero=False)
    y = log_axis("noise", "noise scale, samples", [row["noise"] for row in rows] + ends)
    layers = [
        layer(
            bounded,
            {"type": "area", "color": BLUE, "opacity": 0.2},
            x=x,
            y={**y, "field": "low"},
            y2={"field": "high"},
        ),
        layer(rows, {"type": "line", "color": BLUE, "point": {"color": BLUE}}, x=x, y=y),
    ]
    advice = findings.recommendation.advice
    low, high = y["scale"]["domain"]
    if advice is not None and low < advice.effective_batch_size < high:
        size = advice.effective_batch_size
        layers += rule_across(float(size), f"advised batch {size:,}")
    last = points[-1]
    words = f"After {last.step_count:,} steps it is {format_number(last.noise_scale)} samples"
    if last.interval is not None:
        words += (
            f" (80 %: {format_number(last.interval.low)} to {format_number(last.interval.high)})"
        )
    return Figure(
        name="noise",
        title="Gradient noise scale over steps",
        description=f"{words}. A batch well below it is noisy, one well above it gains little.",
        spec=layered(*layers, height=220),
        table=Table(
            head=("steps", "noise scale, samples", "80 % from", "to"),
            rows=tuple(
                (
                    f"{point.step_count:,}",
                    format_number(point.noise_scale),
                    format_number(point.interval.low) if point.interval else "-",
                    format_number(point.interval.high) if point.interval else "-",
                )
                for point in points
            ),
            numeric=frozenset(range(4)),
        ),
    )
