"""The planner of memory estimates: inspect, trace, answer; nothing is run on the device."""

from __future__ import annotations

from bsadvise.model.advice import MemoryEstimate, MemoryPoint, Refusal, RefusalCode
from bsadvise.model.commands import TraceMemory
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest

from advisor.planning.answer.search_cost import search
from advisor.planning.evidence.budget import memory_budget
from advisor.planning.evidence.inspection import next_inspection
from advisor.planning.evidence.log_view import Facts
from advisor.planning.evidence.step import EstimateStep
from advisor.planning.memory.memory_model import MemoryModel, is_plain
from advisor.planning.memory.memory_plan import next_trace, trace_of
from advisor.planning.memory.memory_savings import (
    asked_size,
    lever_gains,
    next_lever,
    next_typical,
    shown_size,
    typical_peak,
)

_LOOK_ROUND_SHARE = 0.13
"""Share of the seconds after which no more levers are traced: an estimate needs no others."""


class MemoryPlanner:
    """Turns a log into the next step of a memory estimate."""

    def next_step(self, request: AdviceRequest, device: Device, log: Log) -> EstimateStep:
        """Return what to trace next, the estimate, or why there is none."""
        facts = Facts(request, device, log)
        step = (
            next_inspection(facts)
            or _next_trace(facts)
            or _next_asked(facts)
            or next_typical(facts, _LOOK_ROUND_SHARE)
            or next_lever(facts, _LOOK_ROUND_SHARE)
        )
        return _estimate(facts) if step is None else step


def _next_trace(facts: Facts) -> TraceMemory | Refusal | None:
    """Return what the memory stage says; that nothing fits is an answer here, not a refusal."""
    step = next_trace(facts)
    if isinstance(step, Refusal) and step.code is RefusalCode.NO_FIT and MemoryModel(facts).traces:
        return None
    return step


def _next_asked(facts: Facts) -> TraceMemory | None:
    """Return the trace of the size that was asked about; None when there is one or none is."""
    size = asked_size(facts)
    if size is None or any(
        is_plain(command) and command.micro_batch_size == size
        for command, _ in facts.entries(TraceMemory)
    ):
        return None
    return trace_of(facts, size)


def _estimate(facts: Facts) -> MemoryEstimate:
    model = MemoryModel(facts)
    largest = model.max_micro_batch_size
    shown, typical = shown_size(facts), typical_peak(facts)
    notes = [note for trace in model.traces.values() for note in trace.caveats]
    return MemoryEstimate(
        device=facts.device.name,
        budget_bytes=memory_budget(facts.request, facts.device).budget_bytes,
        max_micro_batch_size=largest,
        points=tuple(
            MemoryPoint(micro_batch_size=size, peak_bytes=peak_bytes + model.overhead_bytes)
            for size, peak_bytes in sorted(model.curve.points.items())
        ),
        parts=model.traces[shown].parts,
        parts_micro_batch_size=shown,
        overhead_bytes=model.overhead_bytes,
        precision=facts.profile.precision,
        caveats=tuple(dict.fromkeys((*notes, *facts.profile.caveats))),
        search=search(facts),
        levers=lever_gains(facts),
        typical_peak_bytes=None if typical is None else typical.peak_bytes,
    )
