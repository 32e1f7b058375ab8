from __future__ import annotations

from pathlib import Path

from advisor.domain.commands import TimeLoader, TimeSteps
from advisor.domain.measurements import LoaderTimes, StepTimes
from tests.support.worker_bench import LIMIT_S, Bench, outcome_of


def test_at_least_three_steps_are_timed(bench: Bench) -> None:
    command = TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=64, measure_s=1e-9)
    times = outcome_of(bench.worker("tiny_gpt"), command, StepTimes)
    assert len(times.step_times_s) == 3
    for step_s, optimizer_s in zip(times.step_times_s, times.optimizer_times_s, strict=True):
        assert 0 < optimizer_s < step_s


def test_more_steps_are_timed_in_more_time(bench: Bench) -> None:
    command = TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=1, measure_s=0.5)
    times = outcome_of(bench.worker("tiny_mlp"), command, StepTimes)
    assert 3 < len(times.step_times_s) <= 1000


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
