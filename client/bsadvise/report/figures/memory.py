"""Memory by micro-batch size: what a step holds, what it may hold, what it was measured to hold."""

from __future__ import annotations

from dataclasses import asdict

from bsadvise.model.commands import RunStep, TimeSteps, TraceMemory, Train, Verify
from bsadvise.model.explanation import Findings
from bsadvise.model.measurements import (
    Measurement,
    MemoryTrace,
    OutOfMemory,
    StepRun,
    Verification,
)
from bsadvise.model.units import format_bytes
from bsadvise.report.figures.parts import (
    INK,
    PALETTE,
    WIDTH,
    Row,
    byte_unit,
    keyed,
    layer,
    layered,
    rule_across,
)
from bsadvise.report.values import Figure, Table

_PARTS = {
    "parameter_bytes": "parameters",
    "gradient_bytes": "gradients",
    "optimizer_state_bytes": "optimizer state",
    "activation_bytes": "activations",
    "temporary_bytes": "temporaries",
    "buffer_bytes": "buffers",
    "input_bytes": "inputs",
}
_FITS, _REFUSED, _MEASURED, _FAILED = (
    "predicted", "too large", "measured", "out of memory",
)  # fmt: skip
_SHAPES = {_MEASURED: "diamond", _REFUSED: "cross", _FAILED: "triangle-down"}


def memory_figure(findings: Findings) -> Figure | None:
    """Return the figure; None where no step was traced or run."""
    traces = {
        entry.command.micro_batch_size: entry.outcome
        for entry in findings.log
        if isinstance(entry.command, TraceMemory)
        and isinstance(entry.outcome, MemoryTrace)
        and _is_plain(entry.command)
    }
    measured = _measured(findings.log)
    failed = {size for entry in findings.log if (size := _failed_size(entry)) is not None}
    sizes = sorted({*traces, *measured, *failed})
    if not sizes:
        return None
    memory = findings.explanation and findings.explanation.memory
    budget_bytes = memory.budget_bytes if memory else None
    return _figure(sizes, traces, measured, failed, budget_bytes)


def _is_plain(command: TraceMemory) -> bool:
    return command.lever is None and not command.is_typical and command.accumulation_steps == 1


def _measured(log: tuple[Measurement, ...]) -> dict[int, int]:
    """Return the most bytes that real steps of a size took."""
    found: dict[int, int] = {}
    for entry in log:
        match entry.command, entry.outcome:
            case RunStep() | Verify() as command, StepRun() | Verification() as outcome:
                size = command.micro_batch_size
                found[size] = max(found.get(size, 0), outcome.peak_bytes)
    return found


def _failed_size(entry: Measurement) -> int | None:
    is_run = isinstance(entry.command, RunStep | TimeSteps | Train | Verify)
    if not is_run or not isinstance(entry.outcome, OutOfMemory):
        return None
    size: int = entry.command.micro_batch_size  # type: ignore[union-attr]  # of those that are run
    return size


def _figure(
    sizes: list[int],
    traces: dict[int, MemoryTrace],
    measured: dict[int, int],
    failed: set[int],
    budget_bytes: int | None,
) -> Figure:
    most = max([t.peak_bytes for t in traces.values()] + list(measured.values()) + [1])
    unit, name = byte_unit(max(most, budget_bytes or 0))
    stacked: list[Row] = [
        {"size": size, "part": _PARTS[field], "bytes": held / unit, "order": order}
        for size, trace in traces.items()
        for order, (field, held) in enumerate(_held(trace).items())
    ]
    points: list[Row] = [
        {"size": size, "what": _MEASURED, "bytes": held / unit} for size, held in measured.items()
    ]
    top = (budget_bytes or most) / unit
    points += [{"size": size, "what": _FAILED, "bytes": top} for size in sorted(failed)]
    if budget_bytes is not None:
        points += [
            {"size": size, "what": _REFUSED, "bytes": trace.peak_bytes / unit}
            for size, trace in traces.items()
            if trace.peak_bytes > budget_bytes
        ]
    x = {
        "field": "size",
        "type": "ordinal",
        "sort": sizes,
        "title": "micro-batch size, samples",
        "axis": {"labelAngle": 0, "format": ",d"},
    }
    y = {"field": "bytes", "type": "quantitative", "title": f"peak memory, {name}"}
    marks = [mark for mark in _SHAPES if any(row["what"] == mark for row in points)]
    parts = [part for part in _PARTS.values() if any(row["part"] == part for row in stacked)]
    layers = [
        layer(
            stacked,
            {"type": "bar", "stroke": INK, "strokeWidth": 0.4, "width": {"band": 0.7}},
            x=x,
            y={**y, "stack": "zero"},
            color=keyed("part", parts, PALETTE[: len(parts)], legend="right"),
            order={"field": "order", "type": "quantitative"},
        ),
        layer(
            points,
            {"type": "point", "size": 90, "strokeWidth": 2.5, "filled": False, "color": INK},
            x=x,
            y=y,
            shape=keyed("what", marks, [_SHAPES[mark] for mark in marks], legend="right"),
        ),
    ]
    if budget_bytes is not None:
        layers += rule_across(budget_bytes / unit, f"budget {format_bytes(budget_bytes)}")
    return Figure(
        name="memory",
        title="Memory by micro-batch size",
        description=_words(traces, measured, failed, budget_bytes),
        spec=layered(*layers, width=WIDTH - 130),
        table=_table(sizes, traces, measured, failed, budget_bytes),
    )


def _held(trace: MemoryTrace) -> dict[str, int]:
    held = asdict(trace.parts)
    return {field: held[field] for field in _PARTS if held[field]}


def _words(
    traces: dict[int, MemoryTrace],
    measured: dict[int, int],
    failed: set[int],
    budget_bytes: int | None,
) -> str:
    words = []
    if traces:
        largest = max(traces)
        held = _held(traces[largest])
        part = max(held, key=lambda field: held[field], default=None)
        words.append(
            f"A step of {largest:,} samples is predicted to peak at "
            f"{format_bytes(traces[largest].peak_bytes)}"
            + (f", most of it {_PARTS[part]} ({format_bytes(held[part])})" if part else "")
        )
    if measured:
        size = max(measured)
        words.append(f"one of {size:,} was measured at {format_bytes(measured[size])}")
    if failed:
        words.append(f"{', '.join(f'{size:,}' for size in sorted(failed))} ran out of memory")
    if budget_bytes is not None:
        words.append(f"the budget is {format_bytes(budget_bytes)}")
    return "; ".join(words) + "."


def _table(
    sizes: list[int],
    traces: dict[int, MemoryTrace],
    measured: dict[int, int],
    failed: set[int],
    budget_bytes: int | None,
) -> Table:
    parts = [field for field in _PARTS if any(_held(t).get(field) for t in traces.values())]

    def row(size: int) -> tuple[str, ...]:
        trace = traces.get(size)
        held = _held(trace) if trace else {}
        is_over = trace is not None and budget_bytes is not None and trace.peak_bytes > budget_bytes
        verdict = _FAILED if size in failed else _REFUSED if is_over else "fits"
        return (
            f"{size:,}",
            *(format_bytes(held[field]) if field in held else "-" for field in parts),
            format_bytes(trace.peak_bytes) if trace else "-",
            format_bytes(measured[size]) if size in measured else "-",
            verdict,
        )

    head = ("micro-batch", *(_PARTS[field] for field in parts), _FITS, _MEASURED, "verdict")
    return Table(
        head=head,
        rows=tuple(map(row, sizes)),
        numeric=frozenset(range(len(head) - 1)),
    )
