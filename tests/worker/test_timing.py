from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from bsadvise.model.commands import TimeLoader, TimeSteps
from bsadvise.model.measurements import LoaderTimes, StepTimes

from advisor.worker.commands.timing import time_loader, time_steps
from tests.support.worker_bench import LIMIT_S, Bench, outcome_of


def test_at_least_three_steps_are_timed(bench: Bench) -> None:
    command = TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=64, measure_s=1e-9)
    times = outcome_of(bench.worker("tiny_gpt"), command, StepTimes)
    assert len(times.step_times_s) == 3
    for step_s, optimizer_s in zip(times.step_times_s, times.optimizer_times_s, strict=True):
        assert 0 < optimizer_s < step_s


def test_more_steps_are_timed_in_more_time(bench: Bench) -> None:
    session = bench.worker("tiny_mlp")._session

    def count(measure_s: float) -> int:
        # By this clock every reading takes a second.
        command = TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=1, measure_s=measure_s)
        return len(time_steps(session, command, itertools.count().__next__).step_times_s)

    assert 3 < count(50.0) < count(100.0) < count(1e9) == 1000


def test_loading_is_no_part_of_a_step(bench: Bench) -> None:
    bench.write("""
        import torch

        class Slow(torch.utils.data.Dataset):
            def __len__(self):
                return 1000

            def __getitem__(self, index):
                with open("reads", "a") as file:
                    file.write("x")
                return torch.ones(4), torch.ones(1)

        def build_model():
            return torch.nn.Linear(4, 1)

        def build_dataset():
            return Slow()
    """)
    command = TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=10, measure_s=0.05)
    times = outcome_of(bench.worker(), command, StepTimes)
    reads = len(Path("reads").read_text())
    assert reads < 10 * len(times.step_times_s) or reads <= 50


def test_the_loader_alone_is_timed_for_every_kind_of_data(bench: Bench) -> None:
    command = TimeLoader(time_limit_s=LIMIT_S, batch_size=700, measure_s=1e-9)
    for model in ("tiny_mlp", "ragged", "streamed", "synthetic"):
        times = outcome_of(bench.worker(model), command, LoaderTimes)
        assert times.batch_size == 700
        assert len(times.batch_times_s) == 2


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_processes_that_load_side_by_side_are_timed_by_the_round(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, num_workers: int
) -> None:
    bench.write(f"""
        import torch

        NUM_WORKERS = {num_workers}

        def build_model():
            return torch.nn.Linear(2, 1)

        def build_dataset():
            return [(torch.ones(2), torch.ones(1))] * 100
    """)
    now_s = 0.0

    def batches(_: int) -> Iterator[None]:
        # Each process takes 3 s a batch, and all of them hand theirs over at once.
        nonlocal now_s
        while True:
            now_s += 3.0
            for _ in range(max(1, num_workers)):
                yield None

    worker = bench.worker()
    monkeypatch.setattr(worker._session.task.data, "loader_batches", batches)
    command = TimeLoader(time_limit_s=LIMIT_S, batch_size=8, measure_s=30)
    times = time_loader(worker._session, command, lambda: now_s)
    assert set(times.batch_times_s) == {3.0 / max(1, num_workers)}
