"""On a CPU a memory limit makes the machine behave like a card of that size."""

from __future__ import annotations

import gc

import pytest
import torch
from bsadvise.model.commands import Command, RunStep, TimeSteps, TraceMemory, Train, Verify
from bsadvise.model.measurements import (
    MemoryTrace,
    OutOfMemory,
    StepRun,
    StepTimes,
    TrainRun,
    Verification,
)

from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

SIZE = 32


def run(size: int) -> RunStep:
    return RunStep(time_limit_s=LIMIT_S, micro_batch_size=size)


COMMANDS: list[tuple[Command, type]] = [
    (run(SIZE), StepRun),
    (TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=SIZE, measure_s=0.001), StepTimes),
    (
        Train(
            time_limit_s=LIMIT_S, micro_batch_size=SIZE, accumulation_steps=1, learning_rate=1e-3,
            step_count=3, evaluation_batch_size=8,
        ),
        TrainRun,
    ),
    (
        Verify(
            time_limit_s=LIMIT_S, micro_batch_size=SIZE, accumulation_steps=1, learning_rate=1e-3,
            step_count=3,
        ),
        Verification,
    ),
]  # fmt: skip


def predicted_bytes(bench: Bench) -> int:
    worker = bench.worker("tiny_gpt")
    trace = TraceMemory(time_limit_s=LIMIT_S, micro_batch_size=SIZE)
    return outcome_of(worker, trace, MemoryTrace).peak_bytes


@pytest.mark.parametrize(("command", "kind"), COMMANDS, ids=lambda value: type(value).__name__)
def test_the_predicted_peak_is_enough_and_a_block_less_is_not(
    bench: Bench, command: Command, kind: type
) -> None:
    peak_bytes = predicted_bytes(bench)
    outcome_of(bench.worker("tiny_gpt", limit_bytes=peak_bytes), command, kind)
    refused = outcome_of(bench.worker("tiny_gpt", limit_bytes=peak_bytes - 1), command, OutOfMemory)
    assert "memory limit" in refused.message
    assert not refused.is_host


def test_a_model_that_does_not_fit_by_itself_is_refused(bench: Bench) -> None:
    outcome_of(bench.worker("tiny_gpt", limit_bytes=100_000), run(1), OutOfMemory)


def test_a_refused_size_leaves_nothing_behind(bench: Bench) -> None:
    worker = bench.worker("tiny_gpt", limit_bytes=predicted_bytes(bench))
    outcome_of(worker, run(1000), OutOfMemory)
    gc.collect()
    assert not any(
        issubclass(type(thing), torch.Tensor) and thing.shape[:1] == (1000,)
        for thing in gc.get_objects()
    )


def test_user_code_that_catches_errors_does_not_hide_a_full_device(bench: Bench) -> None:
    bench.write("""
        import torch

        def build_model():
            return torch.nn.Linear(1000, 1000)

        def make_batch(batch_size):
            return torch.ones(batch_size, 1000), torch.ones(batch_size, 1000)

        def loss_fn(model, batch):
            try:
                return (model(batch[0]) - batch[1]).square().mean()
            except Exception as error:
                raise ValueError("no loss") from error
    """)
    outcome_of(bench.worker(limit_bytes=10 << 20), run(5000), OutOfMemory)


def test_the_verified_peak_is_that_of_the_step_that_was_run(bench: Bench) -> None:
    for model in ("tiny_mlp", "tiny_gpt", "ragged"):
        stepped = outcome_of(
            bench.worker(model),
            RunStep(time_limit_s=LIMIT_S, micro_batch_size=SIZE, accumulation_steps=2),
            StepRun,
        )
        verified = outcome_of(
            bench.worker(model),
            Verify(
                time_limit_s=LIMIT_S, micro_batch_size=SIZE, accumulation_steps=2,
                learning_rate=1e-3, step_count=4,
            ),
            Verification,
        )  # fmt: skip
        # The first step's batches are the largest, but the second is the first with all state.
        assert verified.peak_bytes <= stepped.peak_bytes
        assert verified.peak_bytes > 0.7 * stepped.peak_bytes
        assert verified.step_count == 4
        assert len(verified.step_times_s) == 3
        assert verified.final_loss is not None
