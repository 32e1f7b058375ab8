"""Memory estimates against a simulated device: they end, and say what they took."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bsadvise.model.advice import MemoryEstimate
from bsadvise.model.commands import TraceMemory
from bsadvise.model.measurements import Log, Measurement, MemoryTrace, OutOfMemory

from advisor.planning.memory_planner import MemoryPlanner
from tests.support.builders import a_device, a_request
from tests.support.simulated_device import SimulatedDevice


def _as_run(simulated: SimulatedDevice, entry: Measurement) -> Measurement:
    """Return a trace as real steps would have come out."""
    if not isinstance(entry.outcome, MemoryTrace):
        return entry
    if entry.outcome.peak_bytes > simulated.limit_bytes:
        return replace(entry, outcome=OutOfMemory(message="too large"))
    return replace(entry, outcome=replace(entry.outcome, was_run=True))


def _accumulates(entry: Measurement) -> bool:
    return isinstance(entry.command, TraceMemory) and entry.command.accumulation_steps > 1


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
        log = (*log, _as_run(simulated, entry) if was_run else entry)
    raise AssertionError("the plan does not end")


@pytest.mark.parametrize("limit_mib", [400, 1024, 8192])
def test_real_steps_stay_far_from_the_limit_that_they_find(limit_mib: int) -> None:
    simulated = SimulatedDevice(limit_bytes=limit_mib << 20)
    estimate, _ = _estimate(simulated, was_run=True)
    truth = simulated.true_largest()
    assert truth - 1 <= estimate.max_micro_batch_size <= truth
    assert estimate.search.out_of_memory_count == 0
    assert estimate.search.probe_samples <= 3 * 1.5 * truth


def test_no_more_is_run_to_learn_what_accumulating_takes() -> None:
    simulated = SimulatedDevice(limit_bytes=100 << 20)
    _, log = _estimate(simulated, was_run=False)
    assert any(_accumulates(entry) for entry in log), "the test would show nothing"
    _, log = _estimate(simulated, was_run=True)
    assert not any(_accumulates(entry) for entry in log)


def test_real_steps_that_run_out_all_the_same_leave_what_was_seen_to_fit() -> None:
    # So high an optimizer step hides what a sample takes until it is too late.
    simulated = SimulatedDevice(optimizer_bytes=900 << 20)
    estimate, _ = _estimate(simulated, was_run=True)
    sizes = [point.micro_batch_size for point in estimate.points]
    assert estimate.search.out_of_memory_count == 1
    assert estimate.max_micro_batch_size == max(sizes) <= simulated.true_largest()


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
