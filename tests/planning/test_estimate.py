"""Memory estimates against a simulated device: they end, and say what they took."""

from __future__ import annotations

from dataclasses import replace

import pytest

from advisor.domain.advice import MemoryEstimate
from advisor.domain.commands import TraceMemory
from advisor.domain.measurements import Log, MemoryTrace
from advisor.planning.estimate import MemoryPlanner
from tests.support.builders import a_device, a_request
from tests.support.simulated_device import SimulatedDevice


def _estimate(simulated: SimulatedDevice, *, was_run: bool) -> tuple[MemoryEstimate, Log]:
    """Carry an estimate to its end; where traces are run, as fake tensors that cannot follow."""
    request = a_request(memory_limit_bytes=simulated.limit_bytes)
    log: Log = ()
    for _ in range(50):
        step = MemoryPlanner().next_step(request, a_device(), log)
        if isinstance(step, MemoryEstimate):
            return step, log
        assert not hasattr(step, "message"), step
        entry = simulated.measure(step)
        if isinstance(entry.outcome, MemoryTrace):
            entry = replace(entry, outcome=replace(entry.outcome, was_run=was_run))
        log = (*log, entry)
    raise AssertionError("the plan does not end")


@pytest.mark.parametrize("was_run", [False, True])
def test_the_answer_says_what_it_took(was_run: bool) -> None:
    estimate, log = _estimate(SimulatedDevice(), was_run=was_run)
    traces = [entry.command for entry in log if isinstance(entry.command, TraceMemory)]
    samples = sum(c.micro_batch_size * (2 * c.accumulation_steps + 1) for c in traces)
    search = estimate.search
    assert len(traces) >= 2
    assert search.trace_count == (0 if was_run else len(traces))
    assert search.probe_count == (len(traces) if was_run else 0)
    assert search.probe_samples == (samples if was_run else 0)
    assert search.out_of_memory_count == 0
    assert search.wall_s == pytest.approx(sum(entry.wall_s for entry in log))
