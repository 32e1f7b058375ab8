"""The planner of memory estimates: inspect, trace, answer; nothing is run on the device."""

from __future__ import annotations

from advisor.domain.advice import MemoryEstimate, MemoryPoint
from advisor.domain.device import Device
from advisor.domain.measurements import Log
from advisor.domain.request import AdviceRequest
from advisor.planning.budget import memory_budget
from advisor.planning.effort import search
from advisor.planning.facts import Facts
from advisor.planning.inspection import next_inspection
from advisor.planning.memory import MemoryModel, next_trace
from advisor.planning.step import EstimateStep


class MemoryPlanner:
    """Turns a log into the next step of a memory estimate."""

    def next_step(self, request: AdviceRequest, device: Device, log: Log) -> EstimateStep:
        """Return what to trace next, the estimate, or why there is none."""
        facts = Facts(request, device, log)
        step = next_inspection(facts) or next_trace(facts)
        return _estimate(facts) if step is None else step


def _estimate(facts: Facts) -> MemoryEstimate:
    model = MemoryModel(facts)
    largest = model.max_micro_batch_size
    fitting = [size for size in model.traces if size <= largest]
    shown = max(fitting, default=min(model.traces))
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
    )
