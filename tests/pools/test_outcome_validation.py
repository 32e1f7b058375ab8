"""A worker's answer must be one that its command can have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bsadvise.model.commands import CompareOrders, TimeLoader
from bsadvise.model.measurements import GradientNorms, LoaderTimes, OrderComparison

from advisor.pools.outcome_validation import is_possible

COMPARE = CompareOrders(
    time_limit_s=60, batch_size=8, batch_count=16, shuffle_count=2, most_read_samples=128
)
STORED = GradientNorms(
    small_batch_size=8, big_batch_size=128, small_squared_norms=(2.0,), big_squared_norms=(1.0,)
)
SHUFFLED = replace(STORED, small_squared_norms=(2.0, 2.0), big_squared_norms=(1.0, 1.0))


@pytest.mark.parametrize(
    "comparison",
    [
        OrderComparison(),
        OrderComparison(stored=STORED),
        OrderComparison(stored=STORED, shuffled=SHUFFLED),
        OrderComparison(stored=replace(STORED, big_batch_size=64)),
    ],
)
def test_orders_as_they_were_asked_for_are_believed(comparison: OrderComparison) -> None:
    assert is_possible(COMPARE, comparison)


@pytest.mark.parametrize(
    "stored",
    [
        SHUFFLED,
        replace(STORED, small_batch_size=1),
        replace(STORED, big_batch_size=16),
        replace(STORED, big_batch_size=127),
        replace(STORED, big_batch_size=136),
        replace(STORED, small_squared_norms=(), big_squared_norms=()),
    ],
)
def test_orders_that_nobody_asked_for_are_not_believed(stored: GradientNorms) -> None:
    assert not is_possible(COMPARE, OrderComparison(stored=stored, shuffled=SHUFFLED))


def test_a_stream_is_repeated_by_none_but_the_processes_asked_for() -> None:
    command = TimeLoader(time_limit_s=60, batch_size=8, measure_s=1, num_workers=4)
    times = LoaderTimes(batch_size=8, batch_times_s=(0.1,), is_stream_repeated=True)
    assert is_possible(command, times)
    assert not is_possible(replace(command, num_workers=None), times)
