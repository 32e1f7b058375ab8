"""The planner of memory estimates: inspect, trace, answer; nothing is run on the device."""

from __future__ import annotations

from bsadvise.model.advice import MemoryEstimate, MemoryPoint, Refusal, RefusalCode
from bsadvise.model.commands import TraceMemory
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest

from advisor.domain.limits import MOST_CAVEATS
from advisor.planning.answer.search_cost import search
from advisor.planning.evidence.budget import memory_budget
from advisor.planning.evidence.inspection import next_inspection
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.step import EstimateStep
from advisor.planning.memory.memory_model import MemoryModel, is_plain
from advisor.planning.memory.memory_plan import next_trace, trace_of
from advisor.planning.memory.memory_savings import (
    asked_size,
    next_saving_trace,
    next_typical,
    saving_gains,
    shown_size,
    typical_peak,
)
from advisor.planning.tuning.tuning import DEFAULT_TUNING, Tuning


class MemoryPlanner:
    """Turns a log into the next step of a memory estimate.

    Args:
        tuning: The tuned numbers.
    """

    def __init__(self, tuning: Tuning = DEFAULT_TUNING) -> None:
        self._tuning = tuning

    def next_step(self, request: AdviceRequest, device: Device, log: Log) -> EstimateStep:
        """Return what to trace next, the estimate, or why there is none."""
        view = LogView(request, (device,), log, self._tuning)
        savings_share = self._tuning.evidence.seconds.max_estimate_savings_share
        step = (
            next_inspection(view)
            or _next_trace(view)
            or _next_asked(view)
            or next_typical(view, savings_share)
            or next_saving_trace(view, savings_share)
        )
        return _estimate(view) if step is None else step


def _next_trace(view: LogView) -> TraceMemory | Refusal | None:
    """Return what the memory stage says; that nothing fits is an answer here, not a refusal."""
    step = next_trace(view)
    is_misfit = isinstance(step, Refusal) and step.code is RefusalCode.NO_FIT
    return None if is_misfit and view.model(MemoryModel).traces else step


def _next_asked(view: LogView) -> TraceMemory | None:
    """Return the trace of the size that was asked about; None when there is one or none is."""
    size = asked_size(view)
    if size is None or any(
        is_plain(command) and command.micro_batch_size == size
        for command, _ in view.entries(TraceMemory)
    ):
        return None
    return trace_of(view, size)


def _estimate(view: LogView) -> MemoryEstimate:
    model = view.model(MemoryModel)
    largest = model.max_micro_batch_size
    shown, typical = shown_size(view), typical_peak(view)
    notes = [note for trace in model.traces.values() for note in trace.caveats]
    return MemoryEstimate(
        device=view.device.name,
        budget_bytes=memory_budget(
            view.request, view.device, view.tuning.evidence.memory
        ).budget_bytes,
        max_micro_batch_size=largest,
        points=tuple(
            MemoryPoint(micro_batch_size=size, peak_bytes=peak_bytes + model.overhead_bytes)
            for size, peak_bytes in sorted(model.curve.points.items())
        ),
        parts=model.traces[shown].parts,
        parts_micro_batch_size=shown,
        overhead_bytes=model.overhead_bytes,
        precision=view.profile.precision,
        caveats=tuple(dict.fromkeys((*notes, *view.profile.caveats)))[:MOST_CAVEATS],
        search=search(view),
        levers=saving_gains(view),
        typical_peak_bytes=None if typical is None else typical.peak_bytes,
    )
