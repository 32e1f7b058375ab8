from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
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

    def batches(_: int, asked: int | None) -> Iterator[None]:
        # Each process takes 3 s a batch, and all of them hand theirs over at once.
        nonlocal now_s
        count = max(1, num_workers if asked is None else asked)
        # Two batches of each are ready when the first is asked for.
        yield from (None for _ in range(2 * count if asked or num_workers else 0))
        while True:
            now_s += 3.0
            yield from (None for _ in range(count))

    worker = bench.worker()
    monkeypatch.setattr(worker._session.task.data, "loader_batches", batches)
    command = TimeLoader(time_limit_s=LIMIT_S, batch_size=8, measure_s=30)
    times = time_loader(worker._session, command, lambda: now_s)
    assert set(times.batch_times_s) == {3.0 / max(1, num_workers)}
    tried = time_loader(worker._session, replace(command, num_workers=5), lambda: now_s)
    assert set(tried.batch_times_s) == {3.0 / 5}


_SAMPLE_S = 2e-3
_BATCH = 16
_LOADERS = """
    import itertools, time
    import torch

    NUM_WORKERS = {num_workers}

    def load(number):
        if {waits}:
            time.sleep({sample_s})
        end_s = time.thread_time() + ({sample_s} if {computes} else 0)
        while time.thread_time() < end_s:
            pass
        return torch.full((4,), float(number)), torch.ones(1)

    class Indexed(torch.utils.data.Dataset):
        def __len__(self):
            return 1000

        def __getitem__(self, index):
            return load(index)

    class Streamed(torch.utils.data.IterableDataset):
        def __iter__(self):
            info = torch.utils.data.get_worker_info()
            first, step = (info.id, info.num_workers) if info and {shares} else (0, 1)
            return map(load, range(first, 64, step))

    def build_model():
        return torch.nn.Linear(4, 1)

    def build_dataset():
        return {kind}()
"""


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("kind", ["Indexed", "Streamed"])
@pytest.mark.parametrize(("waits", "computes"), [(True, False), (False, True), (True, True)])
def test_the_time_of_a_loader_is_split_into_computing_and_waiting(
    bench: Bench, *, kind: str, waits: bool, computes: bool, num_workers: int
) -> None:
    how = {"kind": kind, "waits": waits, "computes": computes, "num_workers": num_workers}
    bench.write(_LOADERS.format(sample_s=_SAMPLE_S, shares=True, **how))
    command = TimeLoader(time_limit_s=LIMIT_S, batch_size=_BATCH, measure_s=0.1)
    times = outcome_of(bench.worker(), command, LoaderTimes)
    least_s = _BATCH * _SAMPLE_S
    computed_s = times.processor_time_per_batch_s
    assert computed_s is not None
    # The kernel counts in ticks, and a batch or two may have been begun before.
    assert computed_s > 0.3 * least_s if computes else computed_s < 0.3 * least_s
    if waits and num_workers == 0:  # One process waits, has a processor or queues for it.
        queued_s = times.processor_wait_per_batch_s or 0.0
        batch_s = sum(times.batch_times_s) / len(times.batch_times_s)
        assert batch_s - computed_s - queued_s > 0.3 * least_s


@pytest.mark.parametrize("shares", [True, False])
def test_a_stream_that_the_processes_tried_would_repeat_is_seen(
    bench: Bench, *, shares: bool
) -> None:
    how = {"kind": "Streamed", "waits": False, "computes": False, "num_workers": 0}
    bench.write(_LOADERS.format(sample_s=_SAMPLE_S, shares=shares, **how))
    command = TimeLoader(time_limit_s=LIMIT_S, batch_size=_BATCH, measure_s=0.01, num_workers=3)
    worker = bench.worker()
    assert outcome_of(worker, command, LoaderTimes).is_stream_repeated is not shares
    for one in (replace(command, num_workers=1), replace(command, num_workers=None)):
        assert not outcome_of(worker, one, LoaderTimes).is_stream_repeated
