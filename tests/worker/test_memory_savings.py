"""What a lever is said to save is what the changed training saves."""

from __future__ import annotations

import pytest
import torch
from bsadvise.model.commands import InspectTask, Lever, RunStep, TraceMemory
from bsadvise.model.measurements import Failed, MemoryTrace, StepRun
from bsadvise.model.task import TaskProfile
from torch import nn
from torch.utils.checkpoint import checkpoint

from advisor.worker.tracing.memory_savings import repeated_blocks
from tests.support.worker_bench import ABSENT_CARD, LIMIT_S, Bench, outcome_of

FILE = """
    import torch
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    PRECISION = "{precision}"

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(96, 384), nn.GELU(), nn.Linear(384, 96))
            self.norm = nn.LayerNorm(96)

        def forward(self, x):
            return x + self.layers(self.norm(x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(Block() for _ in range(4))

        def forward(self, x):
            for block in self.blocks:
                x = {call}
            return x.mean(1, keepdim=True)

    def build_model():
        return Model()

    def make_batch(batch_size):
        return torch.randn(batch_size, 96), torch.randn(batch_size, 1)

    def build_optimizer(params, lr):
        return {optimizer}
"""
DEFAULTS = {
    "precision": "fp32",
    "call": "block(x)",
    "optimizer": "torch.optim.AdamW(params, lr=lr, foreach=False)",
}
# What the user would write to pull the lever.
PULLED = {
    Lever.BF16: {"precision": "bf16"},
    Lever.CHECKPOINTING: {"call": "checkpoint(block, x, use_reentrant=False)"},
    Lever.SGD: {"optimizer": "torch.optim.SGD(params, lr=lr, momentum=0.9)"},
    Lever.FUSED_OPTIMIZER: {"optimizer": "torch.optim.AdamW(params, lr=lr, fused=True)"},
}


def _trace(size: int, lever: Lever | None = None) -> TraceMemory:
    return TraceMemory(time_limit_s=LIMIT_S, micro_batch_size=size, lever=lever)


@pytest.mark.parametrize("lever", PULLED)
@pytest.mark.parametrize("size", [4, 512])
def test_a_lever_traced_is_the_lever_pulled(bench: Bench, lever: Lever, size: int) -> None:
    bench.write(FILE.format(**DEFAULTS))
    plain = outcome_of(bench.worker(), _trace(size), MemoryTrace)
    predicted = outcome_of(bench.worker(), _trace(size, lever), MemoryTrace)
    bench.write(FILE.format(**(DEFAULTS | PULLED[lever])))
    run = RunStep(time_limit_s=LIMIT_S, micro_batch_size=size)
    real = outcome_of(bench.worker(), run, StepRun)
    peak_bytes = max(predicted.peak_bytes, predicted.evaluation_peak_bytes)
    assert peak_bytes == pytest.approx(real.peak_bytes, rel=0.01)
    if size == 512 and lever in (Lever.BF16, Lever.CHECKPOINTING):
        assert predicted.peak_bytes < 0.8 * plain.peak_bytes


def test_eight_bit_state_takes_a_quarter_and_its_scales(bench: Bench) -> None:
    bench.write(FILE.format(**DEFAULTS))
    worker = bench.worker()
    plain = outcome_of(worker, _trace(512), MemoryTrace).parts
    eight_bit = outcome_of(worker, _trace(512, Lever.EIGHT_BIT_OPTIMIZER), MemoryTrace).parts
    share = eight_bit.optimizer_state_bytes / plain.optimizer_state_bytes
    assert 0.25 < share < 0.3
    assert eight_bit.activation_bytes == plain.activation_bytes


def test_on_cuda_a_fused_optimizer_needs_no_temporaries(bench: Bench) -> None:
    changed = {"optimizer": "torch.optim.AdamW(params, lr=lr)"}
    bench.write(FILE.format(**(DEFAULTS | changed)))
    worker = bench.worker(device=ABSENT_CARD)
    plain = outcome_of(worker, _trace(1), MemoryTrace)
    fused = outcome_of(worker, _trace(1, Lever.FUSED_OPTIMIZER), MemoryTrace)
    assert plain.parts.temporary_bytes >= plain.parts.parameter_bytes
    assert fused.peak_bytes < plain.peak_bytes - plain.parts.parameter_bytes / 2


def test_a_training_that_nobody_asked_for_is_never_run(bench: Bench) -> None:
    changed = {"call": "block(x) if x.mean() > 0 else x"}
    bench.write(FILE.format(**(DEFAULTS | changed)))
    worker = bench.worker()
    assert outcome_of(worker, _trace(4), MemoryTrace).was_run
    assert isinstance(worker.execute(_trace(4, Lever.BF16)), Failed)


def test_repeated_blocks_are_counted(bench: Bench) -> None:
    bench.write(FILE.format(**DEFAULTS))
    inspect = InspectTask(time_limit_s=LIMIT_S)
    assert outcome_of(bench.worker(), inspect, TaskProfile).repeated_block_count == 4
    assert outcome_of(bench.worker("tiny_mlp"), inspect, TaskProfile).repeated_block_count == 0


def test_blocks_are_the_outermost_alike_of_several_modules() -> None:
    def block() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 2), nn.ReLU())

    row = nn.Sequential(block(), block())
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.ModuleDict({"body": row}))
    assert repeated_blocks(model) == list(row)
    x = torch.ones(3, 2, requires_grad=True)
    assert checkpoint(row, x, use_reentrant=False).shape == (3, 2)
