from __future__ import annotations

import itertools
import multiprocessing
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from bsadvise.model.commands import InspectTask
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import IterableDataset

from advisor.worker.data.indexed import IndexedData
from advisor.worker.data.loader import Loading
from advisor.worker.data.order import EndlessBatches, Permutations, split, thin_out
from advisor.worker.data.source import HeldOutLoader
from advisor.worker.data.streamed import StreamedData
from advisor.worker.user.hooks import Hooks
from tests.support.worker_bench import LIMIT_S, Bench, fault_of

SIZES = st.integers(1, 60)

# torch warns where more loader processes are asked for than this machine has cores.


def loading(num_workers: int = 0) -> Loading:
    hooks = Hooks(Path(), "model.py", lambda _: None)
    return Loading(hooks=hooks, collate_fn=None, num_workers=num_workers, seed=3)


def order(size: int, batch_size: int, seed: int = 0, first_sample: int = 0) -> EndlessBatches:
    return EndlessBatches(
        Permutations(torch.arange(size), seed=seed),
        batch_size=batch_size,
        first_sample=first_sample,
    )


def taken(batches: Any, count: int) -> list[int]:
    flat = itertools.chain.from_iterable(batches)
    return [int(index) for index in itertools.islice(flat, count)]


@settings(deadline=None)
@given(SIZES, SIZES, SIZES)
def test_the_order_is_the_same_for_every_batch_size(size: int, one: int, other: int) -> None:
    assert taken(order(size, one), 3 * size) == taken(order(size, other), 3 * size)


@settings(deadline=None)
@given(SIZES, SIZES)
def test_every_epoch_is_a_permutation(size: int, batch_size: int) -> None:
    indices = taken(order(size, batch_size), 3 * size)
    for epoch in range(3):
        assert sorted(indices[epoch * size : (epoch + 1) * size]) == list(range(size))


@settings(deadline=None)
@given(SIZES, SIZES, st.integers(0, 200))
def test_an_order_can_be_entered_anywhere(size: int, batch_size: int, first: int) -> None:
    whole = taken(order(size, batch_size), first + 50)
    assert taken(order(size, batch_size, first_sample=first), 50) == whole[first:]


def test_epochs_and_seeds_differ() -> None:
    assert taken(order(50, 8), 50) != taken(order(50, 8, seed=1), 50)
    assert taken(order(50, 8), 50) != taken(order(50, 8), 100)[50:]


@settings(deadline=None)
@given(st.integers(1, 20_000))
def test_held_out_and_training_samples_share_none(size: int) -> None:
    training, held_out = split(size)
    assert sorted([*training.tolist(), *held_out]) == list(range(size))
    assert len(held_out) == min(1024, size // 10)


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(2, 600))
def test_thinning_keeps_the_ends_and_no_index_twice(size: int, count: int) -> None:
    indices = thin_out(size, count)
    assert indices == sorted(set(indices))
    assert len(indices) == min(size, count)
    assert (indices[0], indices[-1]) == (0, size - 1)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_never_sees_a_held_out_sample(num_workers: int) -> None:
    data = IndexedData(list(range(100)), None, loading(num_workers))
    assert data.evaluation_size == 10
    with closing(data.held_out_batches(4)) as batches:
        held_out = {int(x) for batch in batches for x in batch}
    with closing(data.training_batches(7)) as batches:
        seen = set(taken(batches, 400))
    assert held_out | seen == set(range(100))
    assert not held_out & seen


def test_a_batch_may_exceed_the_data() -> None:
    data = IndexedData(list(range(30)), None, loading())
    with closing(data.training_batches(100)) as batches:
        assert len(next(batches)) == 100


def test_a_large_evaluation_set_is_thinned_out() -> None:
    data = IndexedData(list(range(30)), list(range(5000)), loading())
    assert data.evaluation_size == 1024
    with closing(data.training_batches(30)) as batches:
        assert sorted(next(batches).tolist()) == list(range(30))


def test_a_loader_for_the_user_can_be_gone_through_again() -> None:
    data = IndexedData(list(range(100)), None, loading())
    loader = HeldOutLoader(data, 4, lambda batch: batch + 1000)
    assert len(loader) == 3
    first, second = ([x for batch in loader for x in batch.tolist()] for _ in range(2))
    assert first == second
    assert min(first) >= 1000
    assert len(loader.dataset) == len(first) == data.evaluation_size


def test_a_streams_loader_has_its_samples_too() -> None:
    data = StreamedData(Numbers(600), None, loading())
    assert list(HeldOutLoader(data, 4, None).dataset) == list(range(256))


def test_loader_processes_end_with_the_generator() -> None:
    data = IndexedData(list(range(100)), None, loading(num_workers=2))
    batches = data.training_batches(4)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert multiprocessing.active_children() == []


def test_the_longest_sample_is_found_among_few_or_many() -> None:
    ragged = [torch.ones(index % 7) for index in range(400)]
    ragged[133] = torch.ones(50)
    assert IndexedData(ragged, None, loading()).longest_sample == 133
    assert IndexedData([torch.ones(3)] * 50, None, loading()).longest_sample is None


def test_the_longest_batch_holds_the_longest_sample_in_every_place() -> None:
    data = IndexedData([torch.ones(1 + (index == 5)) for index in range(20)], None, loading())
    assert data.longest_batch(6).shape == (6, 2)


class Numbers(IterableDataset[int]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Any:
        return iter(range(self.size))


class CountedNumbers(Numbers):
    def __init__(self, size: int, told: int) -> None:
        super().__init__(size)
        self.told = told

    def __len__(self) -> int:
        return self.told


@pytest.mark.parametrize(
    ("stream", "size"),
    [
        (Numbers(40), 40),  # Read to its end.
        (Numbers(5000), None),
        (CountedNumbers(5000, told=5000), 5000),
        (CountedNumbers(5000, told=3), None),  # There are more.
        (CountedNumbers(40, told=3000), 40),
    ],
)
def test_a_streams_size_is_known_where_it_ends_or_says_it(
    stream: IterableDataset[int], size: int | None
) -> None:
    data = StreamedData(stream, None, loading())
    assert (data.dataset_size, data.is_stream) == (size, True)


@pytest.mark.parametrize(("size", "held_out"), [(5, 0), (40, 4), (511, 51), (600, 256)])
def test_a_stream_holds_its_first_samples_out(size: int, held_out: int) -> None:
    data = StreamedData(Numbers(size), None, loading())
    assert data.evaluation_size == held_out
    with closing(data.training_batches(10)) as batches:
        seen = taken(batches, 2 * size)
    once = list(range(held_out, size))
    assert seen == (once * 20)[: 2 * size]
    if held_out:
        with closing(data.held_out_batches(16)) as batches:
            assert taken(batches, size) == list(range(held_out))


def test_a_stream_can_be_entered_anywhere() -> None:
    data = StreamedData(Numbers(600), None, loading())
    with closing(data.training_batches(10, first_sample=340)) as batches:
        assert taken(batches, 10) == [596, 597, 598, 599, *range(256, 262)]


def test_a_stream_with_its_own_evaluation_set_holds_nothing_out() -> None:
    data = StreamedData(Numbers(600), list(range(9)), loading())
    assert data.evaluation_size == 9
    with closing(data.training_batches(10)) as batches:
        assert taken(batches, 3) == [0, 1, 2]


@pytest.mark.parametrize("size", [97, 128, 700, 5000])
def test_stored_batches_follow_the_order_and_spread_over_the_data(size: int) -> None:
    data = IndexedData(list(range(size)), None, loading())
    batches = data.stored_batches(8, 10, most_read_samples=80)
    _, held_out = split(size)
    seen = list(itertools.chain.from_iterable(batches))
    assert len(batches) == 10
    assert seen == sorted(set(seen) - set(held_out))
    for batch in batches:
        assert len(batch) == 8
        assert set(range(batch[0], batch[-1])) <= {*batch, *held_out}
    assert seen[-1] >= 0.8 * size


def test_fewer_batches_are_stored_where_there_are_too_few_samples() -> None:
    assert len(IndexedData(list(range(60)), None, loading()).stored_batches(
        8, 10, most_read_samples=80
    )) == 6  # fmt: skip
    assert len(StreamedData(Numbers(60), None, loading()).stored_batches(
        8, 10, most_read_samples=80
    )) == 6  # fmt: skip


@pytest.mark.parametrize("most_read", [80, 200, 1000, 10_000])
def test_a_streams_batches_are_spread_over_what_may_be_read(most_read: int) -> None:
    data = StreamedData(Numbers(3000), None, loading())
    batches = data.stored_batches(8, 10, most_read_samples=most_read)
    starts = [batch[0] for batch in batches]
    assert all(batch == list(range(batch[0], batch[0] + 8)) for batch in batches)
    assert len(starts) == 10
    assert starts[0] == data.evaluation_size
    read = min(most_read, 3000 - data.evaluation_size)
    assert 0.5 * read <= batches[-1][-1] + 1 - data.evaluation_size <= read
    gaps = [right - left for left, right in itertools.pairwise(starts)]
    assert max(gaps) <= 2 * min(gaps)


def test_a_stream_that_does_not_begin_anew_is_told(bench: Bench) -> None:
    bench.write("""
        import torch

        class Once(torch.utils.data.IterableDataset):
            def __init__(self):
                self.rest = iter([(torch.ones(2), torch.ones(1))] * 600)

            def __iter__(self):
                return self.rest

        def build_model():
            return torch.nn.Linear(2, 1)

        def build_dataset():
            return Once()
    """)
    fault = fault_of(bench.worker(), InspectTask(time_limit_s=LIMIT_S))
    assert fault.hook == "build_dataset"
    assert "begin anew" in (fault.fix or "")
