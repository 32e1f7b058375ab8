"""Mean power from counters that are updated in steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.power import mean_power_w, power_at


def _reads(
    power_w: float, *, period_s: float, counter_s: float, until_s: float
) -> list[tuple[float, float]]:
    """Read every ``period_s`` a counter that is updated every ``counter_s``."""
    times = [n * period_s for n in range(int(until_s / period_s) + 1)]
    return [(time_s, power_w * counter_s * (time_s // counter_s)) for time_s in times]


@given(
    power_w=st.floats(1, 1000),
    period_s=st.floats(0.005, 0.03),
    counter_s=st.floats(0.02, 0.1),
    length_s=st.floats(0.5, 3),
)
def test_planted_watts_are_found_within_a_read_at_each_end(
    power_w: float, period_s: float, counter_s: float, length_s: float
) -> None:
    reads = _reads(power_w, period_s=period_s, counter_s=counter_s, until_s=10.0)
    found_w = mean_power_w(reads, begin_s=10 - length_s, end_s=10.0)
    assert found_w is not None
    # An update is seen at most a period late; updates span at least half of the interval.
    assert abs(found_w / power_w - 1) <= period_s / (length_s / 2 - period_s)


@given(start_w=st.floats(0, 300), power_w=st.floats(1, 1000))
def test_what_came_before_does_not_count(start_w: float, power_w: float) -> None:
    before = [(n / 100, start_w * n / 100) for n in range(100)]
    during = [(1 + n / 100, start_w + power_w * n / 100) for n in range(50)]
    found_w = mean_power_w(before + during, begin_s=1.0, end_s=1.5)
    assert found_w == pytest.approx(power_w)


@given(shift_s=st.floats(0, 1e6), offset_j=st.floats(0, 1e6), scale=st.floats(0.1, 10))
def test_only_differences_count(shift_s: float, offset_j: float, scale: float) -> None:
    reads = _reads(100.0, period_s=0.0625, counter_s=0.0625, until_s=2.0)
    moved = [(shift_s + time_s, offset_j + scale * energy_j) for time_s, energy_j in reads]
    found_w = mean_power_w(moved, begin_s=shift_s, end_s=shift_s + 2)
    assert found_w == pytest.approx(100.0 * scale, rel=1e-5)


def test_a_counter_that_is_updated_too_rarely_gives_no_power() -> None:
    def found_w(counter_s: float) -> float | None:
        reads = _reads(100.0, period_s=0.02, counter_s=counter_s, until_s=1.0)
        return mean_power_w(reads, begin_s=0.5, end_s=1.0)

    assert found_w(0.1) == pytest.approx(100.0, rel=0.1)
    assert found_w(0.4) is None
    assert found_w(5.0) is None


def test_no_reads_and_no_time_give_no_power() -> None:
    assert mean_power_w([], begin_s=0.0, end_s=1.0) is None
    assert mean_power_w([(0.0, 1.0), (1.0, 2.0)], begin_s=0.0, end_s=1.0) is None
    assert mean_power_w([(0.0, 1.0), (1.0, 2.0), (1.0, 3.0)], begin_s=1.0, end_s=1.0) is None


def test_two_updates_that_span_little_of_the_interval_do_not_represent_it() -> None:
    still = [(n / 10, 0.0) for n in range(9)]
    assert mean_power_w([*still, (0.9, 50.0), (1.0, 100.0)], begin_s=0.0, end_s=1.0) is None


@given(
    powers_w=st.dictionaries(st.integers(1, 4096), st.floats(1, 1000), min_size=1, max_size=8),
    size=st.integers(1, 8192),
)
def test_power_lies_between_that_of_the_neighbouring_sizes(
    powers_w: dict[int, float], size: int
) -> None:
    smaller = [one for one in powers_w if one <= size]
    larger = [one for one in powers_w if one >= size]
    neighbours = [powers_w[max(smaller)]] if smaller else []
    neighbours += [powers_w[min(larger)]] if larger else []
    found_w = power_at(powers_w, size)
    assert min(neighbours) * (1 - 1e-9) <= found_w <= max(neighbours) * (1 + 1e-9)
    for one, power_w in powers_w.items():
        assert power_at(powers_w, one) == pytest.approx(power_w)
