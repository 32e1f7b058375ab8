"""A memory estimate: the largest batch, what memory is made of, and the curve."""

from __future__ import annotations

import dataclasses

from rich.console import RenderableType
from rich.text import Text

from bsadvise.advice import MemoryEstimate
from bsadvise.cli.views.layout import bullets, pairs, sections, table_of
from bsadvise.units import format_bytes


def estimate_view(estimate: MemoryEstimate, model_name: str) -> RenderableType:
    """Return an estimate for a person."""
    headline = Text.assemble(
        (f"micro-batch {estimate.max_micro_batch_size} fits", "bold"),
        f"  for {model_name} in {format_bytes(estimate.budget_bytes)} of {estimate.device}, "
        f"{estimate.precision}: predicted, not run",
    )
    at = estimate.parts_micro_batch_size
    return sections(
        ("", headline),
        (f"Peak at micro-batch {at}", pairs(_parts(estimate)) if at else None),
        ("Curve", _curve(estimate) if estimate.points else None),
        ("Caveats", bullets(estimate.caveats) if estimate.caveats else None),
    )


def _parts(estimate: MemoryEstimate) -> list[tuple[str, str]]:
    sizes = dataclasses.asdict(estimate.parts) | {"overhead_bytes": estimate.overhead_bytes}
    return [
        (name.removesuffix("_bytes").replace("_", " "), format_bytes(size))
        for name, size in sizes.items()
        if size
    ]


def _curve(estimate: MemoryEstimate) -> RenderableType:
    rows = [
        (
            str(point.micro_batch_size),
            format_bytes(point.peak_bytes),
            "fits" if point.peak_bytes <= estimate.budget_bytes else "too large",
        )
        for point in estimate.points
    ]
    return table_of(("micro-batch", "peak", ""), rows, figures=("micro-batch", "peak"))
