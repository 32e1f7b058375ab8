"""The memory benchmark's parts: bisection, the small card, the summary and the tables."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.memory_bench.card import Card, Tally
from benchmarks.memory_bench.cases import CASES, MIB, WARM_UP
from benchmarks.memory_bench.found import Found, ModelResult, Peak
from benchmarks.memory_bench.summary import geometric_mean, summarise
from benchmarks.memory_bench.table import results_table, summary_table
from benchmarks.memory_bench.task import load_task
from benchmarks.memory_bench.tools import OURS, OURS_VERIFIED, PEERS, TOOLS
from benchmarks.memory_bench.truth import bisect, real_peak, true_max

POWER, BINSEARCH, ACCELERATE = PEERS


def a_found(batch_size: int | None = 100, **changes: Any) -> Found:
    fields: dict[str, Any] = {
        "batch_size": batch_size,
        "sizes_tried": (64, 100),
        "run_count": 2,
        "samples": 400,
        "out_of_memory_count": 0,
        "search_s": 1.0,
    }
    return Found(**fields | changes)


def a_result(**found: Found) -> ModelResult:
    """Return searches where 100 samples fit; every tool not named found 50."""
    names = dict(zip(("ours", "verified", "power", "binsearch", "accelerate"), TOOLS, strict=True))
    return ModelResult(
        model="mlp",
        limit_bytes=128 * MIB,
        true_max=100,
        found={tool: found.get(name, a_found(50)) for name, tool in names.items()},
    )


@given(st.integers(0, 10_000), st.integers(1, 3_000))
def test_bisection_finds_the_largest_size_and_asks_for_none_twice(largest: int, first: int) -> None:
    asked: list[int] = []

    def fits(size: int) -> bool:
        asked.append(size)
        return size <= largest

    assert bisect(fits, first) == largest
    assert len(asked) == len(set(asked)) <= 2 * max(largest, first).bit_length() + 2


def test_a_card_counts_what_it_is_given() -> None:
    tally = Tally()
    with Card(load_task(WARM_UP.path), WARM_UP.limit_bytes, tally) as card:
        card.train(4, steps=2)
        card.train(8, steps=1)
    assert (tally.sizes, tally.samples, tally.out_of_memory_count) == ([4, 8], 16, 0)
    assert 0 < card.peak_bytes <= WARM_UP.limit_bytes


def test_a_full_card_raises_as_cuda_does_and_is_usable_again() -> None:
    tally = Tally()
    with Card(load_task(WARM_UP.path), WARM_UP.limit_bytes, tally) as card:
        with pytest.raises(torch.OutOfMemoryError, match=r"CUDA out of memory\. ") as caught:
            card.train(1 << 16)
        assert len(caught.value.args) == 1, "Lightning and Accelerate check that"
        del caught
        card.train(4)
    assert (tally.sizes, tally.out_of_memory_count) == ([1 << 16, 4], 1)
    assert tally.samples == (1 << 16) + 12, "the batch that failed was taken in too"


def test_the_true_maximum_fits_and_one_more_does_not() -> None:
    largest = true_max(WARM_UP)
    assert largest > 10
    assert real_peak(WARM_UP, largest).peak_bytes <= WARM_UP.limit_bytes
    with pytest.raises(torch.OutOfMemoryError):
        real_peak(WARM_UP, largest + 1)


def test_a_size_above_the_true_maximum_does_not_fit() -> None:
    result = a_result(ours=a_found(100), power=a_found(101), binsearch=a_found(None))
    assert result.fits(OURS)
    assert result.ratio(OURS) == 1
    assert not result.fits(POWER)
    assert not result.fits(BINSEARCH)
    assert result.ratio(BINSEARCH) is None


def test_a_peak_is_compared_at_one_size() -> None:
    result = a_result(ours=a_found(predicted_peak=Peak(batch_size=96, peak_bytes=99)))
    assert result.peak_error(OURS) is None, "nothing was run"
    for batch_size, error in ((96, -0.01), (95, None)):
        run = ModelResult(
            model="mlp", limit_bytes=1, true_max=100, found=result.found,
            real_peak=Peak(batch_size=batch_size, peak_bytes=100),
        )  # fmt: skip
        assert run.peak_error(OURS) == (None if error is None else pytest.approx(error))


def test_the_lead_is_over_peers_that_fit() -> None:
    result = a_result(
        ours=a_found(100, samples=0, search_s=2.0),
        power=a_found(64, samples=300, search_s=10.0),
        binsearch=a_found(95, samples=4000, search_s=40.0),
        accelerate=a_found(120, samples=1, search_s=0.1),
    )
    ours = summarise([result, result])[OURS]
    assert (ours.fit_count, ours.lowest_ratio, ours.samples) == (2, 1.0, 0)
    assert ours.less_time.over_best == pytest.approx(20)
    assert ours.less_time.over_cheapest == pytest.approx(5)
    assert ours.fewer_samples.over_best == pytest.approx(4000)
    assert ours.fewer_samples.over_cheapest == pytest.approx(300)


def test_without_a_peer_that_fits_there_is_no_lead() -> None:
    result = a_result(power=a_found(101), binsearch=a_found(None), accelerate=a_found(500))
    summary = summarise([result])[OURS]
    assert summary.less_time.over_best is summary.less_time.over_cheapest is None


def test_the_geometric_mean_is_that_of_ratios() -> None:
    assert geometric_mean([0.25, 4.0]) == pytest.approx(1)
    assert geometric_mean([]) is None


def test_tables_show_every_tool_and_mark_what_does_not_fit() -> None:
    result = a_result(power=a_found(121, out_of_memory_count=3), accelerate=a_found(None))
    text = io.StringIO()
    console = Console(file=text, width=200)
    console.print(results_table([result]))
    console.print(summary_table(summarise([result]), 1))
    assert "1.210 does not fit" in text.getvalue()
    assert text.getvalue().count(OURS_VERIFIED) == 2
    assert "0 of 1" in text.getvalue()


def test_there_are_eight_models_of_the_kinds_that_are_claimed() -> None:
    names = ["mlp", "cnn", "resnet", "unet", "lstm", "gpt", "bert", "vit"]
    assert [case.name for case in CASES] == names
    assert all(case.path.is_file() for case in CASES)
