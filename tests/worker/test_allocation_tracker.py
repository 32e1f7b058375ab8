from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from advisor.worker.loop.allocation_tracker import AllocationTracker, Holds
from advisor.worker.loop.observers import Phase

CPU = torch.device("cpu")


def track(limit_bytes: int | None = None, model: nn.Module | None = None) -> AllocationTracker:
    model = model or nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    tracker = AllocationTracker(model, optimizer, CPU, limit_bytes)
    tracker.entering(Phase.FORWARD)
    return tracker


@settings(deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_storages_count_from_birth_to_death_in_whole_blocks(sizes: list[int]) -> None:
    tracker = track()
    before = tracker.live_bytes
    with tracker:
        tensors = [torch.empty(size, dtype=torch.uint8) for size in sizes]
    expected = sum(-(-size // 512) * 512 for size in sizes)
    assert tracker.live_bytes - before == expected
    while tensors:
        tensors.pop()
    assert tracker.live_bytes == before
    assert tracker.peak_bytes - before == expected


def test_views_count_once_and_as_long_as_one_lives() -> None:
    tracker = track()
    before = tracker.live_bytes
    with tracker:
        whole = torch.empty(1024)
        part = whole[10:20]
        del whole
        assert tracker.live_bytes - before == 4096
        del part
    assert tracker.live_bytes == before


def test_growing_in_place_is_seen() -> None:
    tracker = track()
    before = tracker.live_bytes
    with tracker:
        tensor = torch.empty(0)
        tensor.resize_(256)
        assert tracker.live_bytes - before == 1024


def test_the_model_is_counted_from_the_start() -> None:
    tracker = track(model=nn.BatchNorm1d(256))
    assert tracker.live_bytes == 4 * 1024 + 512
    assert tracker.parts.parameter_bytes == 2048


def test_tied_weights_count_once() -> None:
    first, second = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
    second.weight = first.weight
    assert track(model=nn.Sequential(first, second)).live_bytes == 64 * 64 * 4


def test_what_passes_the_limit_is_refused_and_let_go() -> None:
    tracker = track(limit_bytes=10_000)
    before = tracker.live_bytes
    with tracker, pytest.raises(torch.OutOfMemoryError, match="memory limit"):
        torch.empty(10_000, dtype=torch.uint8)
    assert tracker.live_bytes == before
    with tracker:
        kept = torch.empty(5_000, dtype=torch.uint8)
    assert kept.numel() == 5_000


def test_the_limit_holds_in_the_backward_pass() -> None:
    model = nn.Linear(1000, 1000)
    tracker = track(limit_bytes=6_000_000, model=model)
    with tracker:
        loss = model(torch.ones(1, 1000)).sum()
        tracker.entering(Phase.BACKWARD)
        with pytest.raises(torch.OutOfMemoryError):
            loss.backward()


def test_other_devices_and_idle_phases_do_not_count() -> None:
    tracker = track()
    before = tracker.live_bytes
    with tracker:
        elsewhere = torch.empty(10_000, device="meta")
        tracker.entering(Phase.LOADING)
        loaded = torch.empty(10_000)
    assert tracker.live_bytes == before
    tracker.received({"batch": [loaded, elsewhere]})
    assert tracker.live_bytes == before + 40_448


def test_sparse_gradients_are_counted() -> None:
    model = nn.Embedding(100, 64, sparse=True)
    tracker = track(model=model)
    with tracker:
        loss = model(torch.arange(10)).sum()
        tracker.entering(Phase.BACKWARD)
        loss.backward()
    assert model.weight.grad is not None
    assert tracker._live_by_kind[Holds.GRADIENT] > 10 * 64 * 4
