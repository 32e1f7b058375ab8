"""A memory estimate: the largest batch, what memory is made of, and ways to save it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from rich.console import RenderableType
from rich.text import Text

from bsadvise.cli.render.views.layout import bullets, pairs, sections, table_of
from bsadvise.cli.render.views.memory_savings import memory_savings_view
from bsadvise.model.advice import MemoryEstimate
from bsadvise.model.caveats import worst_first
from bsadvise.model.units import format_bytes


def estimate_view(
    estimate: MemoryEstimate, model_name: str, batch: int | None = None
) -> RenderableType:
    """Return an estimate for a person.

    Args:
        estimate: What fits on one device.
        model_name: What the user calls the model.
        batch: The size that was asked about; None for the largest.
    """
    return sections(
        ("", _headline(estimate, model_name, batch)),
        *_peak(estimate),
        ("Curve", _curve(estimate) if estimate.points else None),
        ("Ways to save memory", memory_savings_view(estimate.levers) if estimate.levers else None),
        (
            "Caveats",
            bullets(one.text for one in worst_first(estimate.caveats))
            if estimate.caveats
            else None,
        ),
    )


def estimates_view(
    estimates: Mapping[str, MemoryEstimate], model_name: str, batch: int | None = None
) -> RenderableType:
    """Return the estimates of several devices, by the names that the user gave, as a table."""
    head = ["device", "name", "may be used", "largest micro-batch", "peak there"]
    if batch is not None:
        head += [f"peak at {batch}", ""]
    rows = [
        [
            name,
            one.device,
            format_bytes(one.budget_bytes),
            str(one.max_micro_batch_size),
            _peak_at(one, _largest_traced(one)),
            *([_peak_at(one, batch), _verdict(one, batch)] if batch is not None else []),
        ]
        for name, one in estimates.items()
    ]
    notes = dict.fromkeys(note.text for one in estimates.values() for note in one.caveats)
    figures = {*head} - {"device", "name", ""}
    return sections(
        ("", Text(f"{model_name}: predicted, not run", style="bold")),
        ("", table_of(head, rows, figures=figures)),
        ("Caveats", bullets(notes) if notes else None),
    )


def _headline(estimate: MemoryEstimate, model_name: str, batch: int | None) -> Text:
    size = estimate.max_micro_batch_size if batch is None else batch
    verdict = "fits" if batch is None else _verdict(estimate, batch)
    largest = "" if batch is None else f"; the largest that fits is {estimate.max_micro_batch_size}"
    return Text.assemble(
        (f"micro-batch {size} {verdict}", "bold"),
        f"  for {model_name} in {format_bytes(estimate.budget_bytes)} of {estimate.device}, "
        f"{estimate.precision}: predicted, not run{largest}",
    )


def _peak(estimate: MemoryEstimate) -> list[tuple[str, RenderableType | None]]:
    at = estimate.parts_micro_batch_size
    return [(f"Peak at micro-batch {at}", pairs(_parts(estimate)) if at else None)]


def _parts(estimate: MemoryEstimate) -> list[tuple[str, str]]:
    live = dataclasses.asdict(estimate.parts)
    whole = next(
        (p.peak_bytes for p in estimate.points if p.micro_batch_size
         == estimate.parts_micro_batch_size), None
    )  # fmt: skip
    rest = 0 if whole is None else whole - sum(live.values()) - estimate.overhead_bytes
    sizes = live | {"overhead_bytes": estimate.overhead_bytes, "cached_bytes": max(0, rest)}
    names = {"cached_bytes": "unused in segments", "overhead_bytes": "libraries"}
    rows = [
        (names.get(name, name.removesuffix("_bytes").replace("_", " ")), format_bytes(size))
        for name, size in sizes.items()
        if size
    ]
    if estimate.typical_peak_bytes is not None:
        rows.append(("in all, usual samples", format_bytes(estimate.typical_peak_bytes)))
    return rows


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


def _verdict(estimate: MemoryEstimate, batch: int) -> str:
    return "fits" if estimate.fits(batch) else "does not fit"


def _largest_traced(estimate: MemoryEstimate) -> int:
    sizes = [point.micro_batch_size for point in estimate.points]
    return max((size for size in sizes if size <= estimate.max_micro_batch_size), default=0)


def _peak_at(estimate: MemoryEstimate, size: int) -> str:
    peaks = {point.micro_batch_size: point.peak_bytes for point in estimate.points}
    return format_bytes(peaks[size]) if size in peaks else "-"
