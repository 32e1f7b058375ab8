"""The largest batch that is predicted fits when it is run, and hardly a larger one does."""

from __future__ import annotations

import dataclasses
import math

import pytest

from advisor.domain.advice import MemoryEstimate, Refusal
from advisor.domain.commands import RunStep
from advisor.domain.device import Device
from advisor.domain.measurements import Log, Measurement, OutOfMemory, StepRun
from advisor.planning.estimate import MemoryPlanner
from advisor.worker.execution import Worker
from tests.support.builders import a_request
from tests.support.worker_bench import CPU, LIMIT_S, Bench, outcome_of

MIB = 1 << 20


def _estimate(worker: Worker, limit_bytes: int, device: Device) -> MemoryEstimate:
    request = a_request(memory_limit_bytes=limit_bytes)
    log: Log = ()
    for _ in range(60):
        step = MemoryPlanner().next_step(request, device, log)
        if isinstance(step, MemoryEstimate):
            return step
        assert not isinstance(step, Refusal), step
        log = (*log, Measurement(command=step, outcome=worker.execute(step), wall_s=0.1))
    raise AssertionError("the plan does not end")


@pytest.mark.parametrize(
    ("model", "limit_bytes"),
    [
        ("tiny_mlp", 3 * MIB),
        ("tiny_gpt", 48 * MIB),
        ("tiny_cnn_bn", 24 * MIB),
        ("ragged", 40 * MIB),
        ("synthetic", 16 * MIB),
        ("streamed", 4 * MIB),
    ],
)
def test_the_largest_batch_fits_and_two_percent_more_does_not(
    bench: Bench, model: str, limit_bytes: int
) -> None:
    worker = bench.worker(model, limit_bytes=limit_bytes)
    estimate = _estimate(worker, limit_bytes, CPU)
    assert estimate.search.probe_samples == 0
    assert estimate.search.out_of_memory_count == 0
    largest = RunStep(time_limit_s=LIMIT_S, micro_batch_size=estimate.max_micro_batch_size)
    real = outcome_of(worker, largest, StepRun)
    assert real.peak_bytes <= limit_bytes
    more = math.floor(estimate.max_micro_batch_size / 0.98) + 1
    larger = dataclasses.replace(largest, micro_batch_size=more)
    outcome_of(bench.worker(model, limit_bytes=limit_bytes), larger, OutOfMemory)
