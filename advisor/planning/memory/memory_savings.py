"""In addition to the answer: memory savings, and what a batch of typical samples takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from bsadvise.model.advice import LeverGain, MemoryPoint
from bsadvise.model.commands import Lever, TraceMemory
from bsadvise.model.device import DeviceKind
from bsadvise.model.measurements import MemoryTrace
from bsadvise.model.task import OptimizerFamily

from advisor.domain.limits import MOST_BATCH_SIZE, MOST_BYTES
from advisor.estimators.memory_curve import MemoryCurve
from advisor.planning.evidence.budget import bucket_bytes
from advisor.planning.evidence.log_view import LogView
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.memory.memory_plan import trace_of

_OF_THE_MODEL = (Lever.BF16, Lever.CHECKPOINTING)
"""Memory savings that change what a sample takes, so that a second size must be traced."""


def next_typical(view: LogView, share: float) -> TraceMemory | None:
    """Return the trace of samples as they come; None where all are alike, or it was made.

    Args:
        view: What is known.
        share: Of the seconds, after which nothing more is begun.
    """
    size = shown_size(view)
    is_made = typical_peak(view) is not None
    most = view.tuning.memory.savings.max_typical_size
    if view.profile.longest_sample is None or size > most or is_made:
        return None
    wanted = dataclasses.replace(trace_of(view, size), is_typical=True)
    return _next(view, [wanted], share)


def next_saving_trace(view: LogView, share: float) -> TraceMemory | None:
    """Return the next trace of a memory saving; None when there is none left, or no time.

    Args:
        view: What is known.
        share: Of the seconds, after which nothing more is begun.
    """
    model = view.model(MemoryModel)
    largest = model.max_micro_batch_size
    if largest == 0 or any(trace.was_run for trace in model.traces.values()):
        return None
    return _next(view, _saving_traces(view, largest), share)


def _next(view: LogView, wanted: Iterable[TraceMemory], share: float) -> TraceMemory | None:
    if view.spent(share):
        return None
    made = {command for command, _ in view.entries(TraceMemory)}
    return next((trace for trace in wanted if trace not in made), None)


def typical_peak(view: LogView) -> MemoryPoint | None:
    """Return what samples as they come take, libraries included; None where not traced."""
    model = view.model(MemoryModel)
    for command, trace in view.figures(TraceMemory, MemoryTrace):
        if command.is_typical:
            peak_bytes = model.reserved_bytes_of(trace) + model.overhead_bytes
            return MemoryPoint(micro_batch_size=command.micro_batch_size, peak_bytes=peak_bytes)
    return None


def saving_gains(view: LogView) -> tuple[LeverGain, ...]:
    """Return what each memory saving that helps would do, the most helpful first."""
    gains = [gain for saving in Lever if (gain := _gain(view, saving)) is not None]
    return tuple(sorted(gains, key=lambda gain: -gain.max_micro_batch_size))


def shown_size(view: LogView) -> int:
    """Return the size that an estimate takes apart: the one asked about, or the largest."""
    model = view.model(MemoryModel)
    asked = asked_size(view)
    if asked is not None and asked in model.traces:
        return asked
    fitting = [size for size in model.traces if size <= model.max_micro_batch_size]
    return max(fitting, default=min(model.traces))


def asked_size(view: LogView) -> int | None:
    """Return the micro-batch that an estimate was asked about; None for none."""
    batch_size = view.request.effective_batch_size
    return None if batch_size is None else max(1, batch_size // view.request.world_size)


def _saving_traces(view: LogView, largest: int) -> Iterator[TraceMemory]:
    factor = view.tuning.memory.savings.second_size_factor
    for saving in _applicable(view):
        # Runs may have lowered the largest since; what was traced before serves as well.
        first = min(_points(view, saving), default=largest)
        sizes = (first, factor * first) if saving in _OF_THE_MODEL else (first,)
        for size in sizes:
            yield dataclasses.replace(trace_of(view, size), lever=saving)


def _applicable(view: LogView) -> Iterator[Lever]:
    profile = view.profile
    if profile.precision == "fp32":
        yield Lever.BF16
    if profile.repeated_block_count:
        yield Lever.CHECKPOINTING
    family = profile.optimizer.family
    if family is not OptimizerFamily.OTHER and view.device.kind is not DeviceKind.CPU:
        yield Lever.FUSED_OPTIMIZER
    if family is OptimizerFamily.ADAM:
        yield Lever.SGD
        if "8bit" not in profile.optimizer.optimizer_name:
            yield Lever.EIGHT_BIT_OPTIMIZER


def _gain(view: LogView, saving: Lever) -> LeverGain | None:
    model = view.model(MemoryModel)
    largest = model.max_micro_batch_size
    budget_bytes = model.traced_budget_bytes
    points = _points(view, saving)
    if saving is Lever.BUCKET_VIEW:
        saved_bytes = bucket_bytes(view.request, view.profile)
    elif not points or (saving in _OF_THE_MODEL and len(points) < 2):
        return None
    elif saving in _OF_THE_MODEL:
        curve = MemoryCurve(points, tuning=view.tuning.estimators.memory_curve)
        saved_bytes = model.curve.peak_bytes(largest) - curve.peak_bytes(largest)
    else:
        saved_bytes = max(model.curve.peak_bytes(b) - peak for b, peak in points.items())
    if saving not in _OF_THE_MODEL:
        points, budget_bytes = dict(model.curve.points), budget_bytes + saved_bytes
    size = _reach(points, largest, budget_bytes)
    if saved_bytes <= 0 or size <= largest:
        return None
    return LeverGain(
        lever=saving,
        max_micro_batch_size=min(size, MOST_BATCH_SIZE),
        saved_bytes=min(MOST_BYTES, int(saved_bytes * model.correction)),
    )


def _points(view: LogView, saving: Lever) -> dict[int, int]:
    """Return the traced peaks of a memory saving, by size."""
    model = view.model(MemoryModel)
    return {
        command.micro_batch_size: model.reserved_bytes_of(trace)
        for command, trace in view.figures(TraceMemory, MemoryTrace)
        if command.lever is saving
    }


def _reach(points: dict[int, int], largest: int, budget_bytes: float) -> int:
    """Return about how far a budget goes along the line through two points."""
    sizes = sorted(points)
    if len(sizes) < 2:
        return largest
    # The two nearest the answer, which lie on the line that bounds it.
    right = next((n for n, size in enumerate(sizes) if size > largest), len(sizes) - 1)
    left_size, right_size = sizes[max(0, right - 1)], sizes[max(1, right)]
    slope = (points[right_size] - points[left_size]) / (right_size - left_size)
    if slope <= 0:
        return largest
    return int(left_size + (budget_bytes - points[left_size]) / slope)
