"""What CUDA's allocator would reserve for a step; on a card, what it does reserve."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bsadvise.model.commands import RunStep, TraceMemory
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.measurements import MemoryTrace, OutOfMemory, StepRun

from advisor.planning.evidence.budget import workspace_bytes
from tests.support.worker_bench import ABSENT_CARD, LIMIT_S, Bench, outcome_of

EXAMPLES_DIR = Path(__file__).parents[2] / "examples"
MODELS = ["tiny_mlp", "tiny_gpt", "tiny_cnn_bn", "ragged", "synthetic", "streamed"]


def _trace(size: int) -> TraceMemory:
    return TraceMemory(time_limit_s=LIMIT_S, micro_batch_size=size)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_reserved_holds_what_is_live(bench: Bench, model: str) -> None:
    worker = bench.worker(model, device=ABSENT_CARD)
    reserved = []
    for size in (2, 64, 2048):
        trace = outcome_of(worker, _trace(size), MemoryTrace)
        assert trace.reserved_bytes is not None
        assert trace.reserved_bytes >= max(trace.peak_bytes, trace.evaluation_peak_bytes)
        assert trace.reserved_bytes % (2 << 20) == 0
        reserved.append(trace.reserved_bytes)
    assert reserved == sorted(reserved)


def test_gpt2_is_followed_without_a_card(bench: Bench) -> None:
    bench.write((EXAMPLES_DIR / "gpt2_124m.py").read_text(encoding="utf-8"))
    trace = outcome_of(bench.worker(device=ABSENT_CARD), _trace(16), MemoryTrace)
    assert not trace.was_run
    # 124,439,808 parameters, the head's tied to the embedding's; Adam keeps two values for each.
    assert trace.parts.parameter_bytes == 4 * 124_439_808
    assert trace.parts.optimizer_state_bytes == pytest.approx(8 * 124_439_808, rel=0.001)
    assert trace.peak_bytes > 16 << 30
    assert trace.reserved_bytes is not None
    assert trace.peak_bytes < trace.reserved_bytes < 1.25 * trace.peak_bytes


def test_equal_traces_reserve_equally(bench: Bench) -> None:
    first = outcome_of(bench.worker("tiny_gpt", device=ABSENT_CARD), _trace(64), MemoryTrace)
    second = outcome_of(bench.worker("tiny_gpt", device=ABSENT_CARD), _trace(64), MemoryTrace)
    assert first == second


def test_a_cpu_reserves_nothing(bench: Bench) -> None:
    assert outcome_of(bench.worker("tiny_mlp"), _trace(8), MemoryTrace).reserved_bytes is None


def test_real_steps_that_stand_in_for_a_trace_are_replayed_too(bench: Bench) -> None:
    bench.write("""
        import torch
        from torch import nn

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(8, 1)

            def forward(self, x):
                return self.layer(x) * (2 if x.sum() > 0 else 1)

        def build_model():
            return Model()

        def make_batch(batch_size):
            return torch.ones(batch_size, 8), torch.ones(batch_size, 1)
    """)
    trace = outcome_of(bench.worker(device=ABSENT_CARD), _trace(8), MemoryTrace)
    assert trace.was_run
    assert trace.reserved_bytes is not None


@pytest.fixture
def card() -> Device:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return Device(
        device_id="0",
        name=torch.cuda.get_device_name(0),
        kind=DeviceKind.CUDA,
        present=True,
        total_bytes=torch.cuda.get_device_properties(0).total_memory,
    )


@pytest.mark.gpu
@pytest.mark.parametrize("model", MODELS)
def test_the_prediction_is_what_a_card_reserves(bench: Bench, card: Device, model: str) -> None:
    worker = bench.worker(model, device=card)
    predicted = outcome_of(worker, _trace(8192), MemoryTrace)
    real = outcome_of(worker, RunStep(time_limit_s=LIMIT_S, micro_batch_size=8192), StepRun)
    assert predicted.reserved_bytes is not None
    # These models are small: the bound is 5 %, or two of the allocator's shared segments.
    assert predicted.reserved_bytes + workspace_bytes(card) == pytest.approx(
        real.peak_bytes, rel=0.05, abs=40 << 20
    )


@pytest.mark.gpu
def test_the_allocator_of_a_card_refuses_what_is_beyond_a_limit(bench: Bench, card: Device) -> None:
    worker = bench.worker("tiny_mlp", device=card, limit_bytes=256 << 20)
    fits = outcome_of(worker, RunStep(time_limit_s=LIMIT_S, micro_batch_size=64), StepRun)
    assert 0 < fits.peak_bytes <= 256 << 20
    beyond = RunStep(time_limit_s=LIMIT_S, micro_batch_size=1 << 21)
    assert not outcome_of(worker, beyond, OutOfMemory).is_host
