"""A loss that is made of gradients, as a penalty on them is, can be evaluated too."""

from __future__ import annotations

import pytest
import torch
from bsadvise.model.commands import Evaluate, InspectTask, RunStep, TraceMemory, Train
from bsadvise.model.measurements import Evaluation, MemoryTrace, StepRun, TrainRun
from bsadvise.model.task import BatchSemantics, TaskProfile

from tests.support.worker_bench import LIMIT_S, Bench, fault_of, outcome_of

PENALTY = """
    import torch
    from torch import nn

    def build_model():
        return nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))

    def build_dataset():
        x = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
        return torch.utils.data.TensorDataset(x, x[:, 0].sin())

    def loss_fn(model, batch):
        x, y = batch
        x = x.clone().requires_grad_()
        found = model(x).squeeze(1)
        slope, = torch.autograd.grad(found.sum(), x, create_graph=True)
        return (found - y).square().mean() + (slope[:, 0] - x[:, 0].cos()).square().mean()
"""


def test_it_is_evaluated_traced_run_and_trained(bench: Bench) -> None:
    bench.write(PENALTY)
    worker = bench.worker()
    profile = outcome_of(worker, InspectTask(time_limit_s=100 * LIMIT_S), TaskProfile)
    assert profile.batch_semantics is BatchSemantics.MEAN, profile.caveats
    trace = TraceMemory(time_limit_s=LIMIT_S, micro_batch_size=16)
    run = RunStep(time_limit_s=LIMIT_S, micro_batch_size=16)
    traced = outcome_of(worker, trace, MemoryTrace)
    assert not traced.was_run
    peak_bytes = max(traced.peak_bytes, traced.evaluation_peak_bytes)
    assert outcome_of(worker, run, StepRun).peak_bytes == pytest.approx(peak_bytes, rel=0.05)
    evaluate = Evaluate(time_limit_s=LIMIT_S, evaluation_batch_size=8)
    before = outcome_of(worker, evaluate, Evaluation).held_out_loss
    train = Train(
        time_limit_s=LIMIT_S, micro_batch_size=16, accumulation_steps=1, learning_rate=1e-2,
        step_count=60, evaluation_batch_size=8,
    )  # fmt: skip
    after = outcome_of(worker, train, TrainRun).held_out_loss
    assert before is not None
    assert after is not None
    assert after < 0.7 * before


def test_gradients_that_the_file_turns_off_are_named(bench: Bench) -> None:
    bench.write(PENALTY + "\n    torch.set_grad_enabled(False)\n")
    with torch.enable_grad():  # So that what the file sets ends here.
        fault = fault_of(bench.worker(), InspectTask(time_limit_s=LIMIT_S))
    assert "leave out `torch.set_grad_enabled(False)`" in str(fault)
