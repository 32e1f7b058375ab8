"""The largest batch that is predicted fits when it is run, and hardly a larger one does."""

from __future__ import annotations

import dataclasses
import math

import pytest
from bsadvise.model.advice import Refusal
from bsadvise.model.commands import RunStep
from bsadvise.model.measurements import Log, Measurement, OutOfMemory, StepRun

from advisor.planning.evidence.inspection import next_inspection
from advisor.planning.evidence.log_view import LogView
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.memory.memory_plan import next_trace
from advisor.worker.commands.execution import Worker
from tests.support.builders import a_request
from tests.support.worker_bench import CPU, LIMIT_S, Bench, outcome_of

MIB = 1 << 20


def _predict(worker: Worker, limit_bytes: int) -> MemoryModel:
    """Return what traces tell; of steps that accumulate, and of levers, none is made."""
    request = a_request(memory_limit_bytes=limit_bytes, effective_batch_size=1)
    log: Log = ()
    for _ in range(20):
        view = LogView(request, (CPU,), log)
        step = next_inspection(view) or next_trace(view)
        if step is None:
            return MemoryModel(view)
        assert not isinstance(step, Refusal), step
        log = (*log, Measurement(command=step, outcome=worker.execute(step), wall_s=0.1))
    raise AssertionError("the plan does not end")


@pytest.mark.parametrize(
    ("model", "limit_bytes"),
    [
        ("tiny_mlp", 1 * MIB),
        ("tiny_gpt", 12 * MIB),
        ("tiny_cnn_bn", 6 * MIB),
        ("ragged", 6 * MIB),
        ("synthetic", 2 * MIB),
        ("streamed", 1 * MIB),
    ],
)
def test_the_largest_batch_fits_and_two_percent_more_does_not(
    bench: Bench, model: str, limit_bytes: int
) -> None:
    worker = bench.worker(model, limit_bytes=limit_bytes)
    model_of_memory = _predict(worker, limit_bytes)
    assert not model_of_memory.is_traced_by_runs
    size = model_of_memory.max_micro_batch_size
    largest = RunStep(time_limit_s=LIMIT_S, micro_batch_size=size)
    real = outcome_of(worker, largest, StepRun)
    assert real.peak_bytes <= limit_bytes
    larger = dataclasses.replace(largest, micro_batch_size=math.floor(size / 0.98) + 1)
    outcome_of(bench.worker(model, limit_bytes=limit_bytes), larger, OutOfMemory)
