"""Whole searches on a small model: ours always, the peers each night where they are installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.memory_bench import ours
from benchmarks.memory_bench.cases import WARM_UP
from benchmarks.memory_bench.truth import real_peak, true_max

peer = pytest.mark.skipif(
    "BSADVISE_PEERS" not in os.environ, reason="the peers are searched nightly"
)


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no daemon or state of the user's take part."""
    for name in ("BSADVISE_ADDRESS", "BSADVISE_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


def test_our_estimate_is_the_true_maximum_and_runs_nothing() -> None:
    found, largest = ours.estimate(WARM_UP), true_max(WARM_UP)
    assert found.batch_size is not None
    assert 0.98 * largest <= found.batch_size <= largest
    assert (found.run_count, found.samples, found.out_of_memory_count) == (0, 0, 0)
    assert len(found.sizes_tried) >= 2
    assert found.search_s > 0
    assert found.predicted_peak is not None
    peak = real_peak(WARM_UP, found.predicted_peak.batch_size)
    assert found.predicted_peak.peak_bytes == pytest.approx(peak.peak_bytes, rel=0.01)


@peer
@pytest.mark.filterwarnings("ignore")
def test_the_decorator_stops_at_the_first_size_that_fits() -> None:
    pytest.importorskip("accelerate")
    from benchmarks.memory_bench import decorator  # noqa: PLC0415

    found = decorator.search_from(64, WARM_UP)
    largest = true_max(WARM_UP)
    assert found.sizes_tried[0] == 64
    assert found.batch_size == found.sizes_tried[-1] <= largest < found.sizes_tried[-2]
    assert found.out_of_memory_count == found.run_count - 1


@peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["power", "binsearch"])
def test_the_finder_doubles_until_it_fails(mode: str) -> None:
    pytest.importorskip("lightning")
    from benchmarks.memory_bench import finder  # noqa: PLC0415

    found = finder.search(WARM_UP, mode)
    assert found.sizes_tried[:3] == (2, 4, 8)
    assert found.out_of_memory_count >= 1
    assert found.batch_size is not None
    assert 2 * found.batch_size > true_max(WARM_UP)
