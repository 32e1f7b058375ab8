"""Laws of the memory curve: it finds the largest size of any convex piecewise-linear memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.memory_curve import MemoryCurve, MemoryCurveTuning

TUNING = MemoryCurveTuning()

_lines = st.lists(
    st.tuples(st.integers(0, 1 << 34), st.integers(0, 1 << 28)), min_size=1, max_size=4
)


def _memory(lines: list[tuple[int, int]]) -> Callable[[int], int]:
    return lambda size: max(fixed + each * size for fixed, each in lines)


def _true_largest(memory: Callable[[int], int], budget: int) -> int:
    low, high = 0, TUNING.largest_size + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if memory(middle) <= budget else (low, middle)
    return low


def _search(memory: Callable[[int], int], budget: int) -> tuple[MemoryCurve, int]:
    points = {size: memory(size) for size in TUNING.first_sizes}
    asked = 0
    while (size := MemoryCurve(points).next_size(budget)) is not None:
        assert size not in points, "a size was asked for twice"
        points[size] = memory(size)
        asked += 1
        assert asked < 60, "the search does not end"
    return MemoryCurve(points), asked


@given(lines=_lines, budget=st.integers(0, 1 << 36))
def test_the_walk_finds_the_largest_size_that_fits(
    lines: list[tuple[int, int]], budget: int
) -> None:
    memory = _memory(lines)
    curve, _ = _search(memory, budget)
    found, true = curve.largest_fit(budget), _true_largest(memory, budget)
    assert found <= true
    assert found >= int(0.995 * true)


@given(
    storages=st.lists(
        st.tuples(st.integers(0, 1 << 20), st.integers(0, 1 << 12)), min_size=1, max_size=6
    ),
    budget=st.integers(0, 1 << 24),
)
def test_what_is_found_fits_though_storages_take_whole_blocks(
    storages: list[tuple[int, int]], budget: int
) -> None:
    def memory(size: int) -> int:
        return sum(-(-(fixed + each * size) // 512) * 512 for fixed, each in storages)

    curve, _ = _search(memory, budget)
    found, true = curve.largest_fit(budget), _true_largest(memory, budget)
    assert found <= true
    block_samples = 512 * len(storages) / max(1, sum(each for _, each in storages))
    assert found >= 0.995 * true - block_samples - 1


@given(
    fixed=st.integers(0, 1 << 32),
    each=st.integers(1 << 10, 1 << 26),
    largest=st.integers(17, 100_000),
)
def test_a_straight_line_is_found_exactly_in_a_few_traces(
    fixed: int, each: int, largest: int
) -> None:
    memory = _memory([(fixed, each)])
    curve, asked = _search(memory, memory(largest))
    assert curve.largest_fit(memory(largest)) == largest
    assert asked <= 3


@given(lines=_lines, sizes=st.sets(st.integers(1, 10_000), min_size=2, max_size=6))
def test_between_known_sizes_the_curve_is_never_too_low(
    lines: list[tuple[int, int]], sizes: set[int]
) -> None:
    memory = _memory(lines)
    curve = MemoryCurve({size: memory(size) for size in sizes})
    for size in range(min(sizes), max(sizes), max(1, (max(sizes) - min(sizes)) // 20)):
        assert curve.peak_bytes(size) >= memory(size)


_polynomials = st.lists(
    st.tuples(st.integers(1, 1 << 30), st.integers(0, 1 << 20), st.integers(0, 1 << 12)),
    min_size=1,
    max_size=3,
)


@given(polynomials=_polynomials, budget=st.integers(1 << 31, 1 << 40))
def test_memory_that_grows_faster_than_the_batch_is_found(
    polynomials: list[tuple[int, int, int]], budget: int
) -> None:
    def memory(size: int) -> int:
        return max(fixed + each * size + pair * size**2 for fixed, each, pair in polynomials)

    curve, _ = _search(memory, budget)
    found, true = curve.largest_fit(budget), _true_largest(memory, budget)
    assert int(0.995 * true) <= found <= true
    known = sorted(curve.points)
    sizes = range(2, known[-1], 1 << 10)
    rounding = 1 + 1e-12  # Petabytes lie beyond a float's last digit.
    assert all(curve.peak_bytes(size) * rounding >= memory(size) for size in sizes)


def test_a_square_needs_few_traces() -> None:
    curve, asked = _search(lambda size: 8000 + 30 * size + 4 * size**2, 20 << 30)
    assert curve.largest_fit(20 << 30) == pytest.approx(73_270, rel=0.005)
    assert asked <= 4


def test_known_sizes_are_given_back() -> None:
    curve = MemoryCurve({2: 100, 16: 800})
    assert curve.peak_bytes(2) == 100
    assert curve.peak_bytes(16) == 800


def test_nothing_fits_when_not_even_one_sample_does() -> None:
    curve, _ = _search(_memory([(1000, 10)]), 900)
    assert curve.largest_fit(900) == 0


def test_memory_that_does_not_grow_ends_the_walk() -> None:
    curve, _ = _search(_memory([(1000, 0)]), 2000)
    assert curve.largest_fit(2000) == TUNING.largest_size


def test_a_line_is_drawn_on_where_that_is_asked_for() -> None:
    points = {2: 120, 16: 260}
    assert MemoryCurve(points).largest_fit(1000) == 16
    assert MemoryCurve(points, is_drawn_on=True).largest_fit(1000) == 90
    assert MemoryCurve(points, is_drawn_on=True).largest_fit(130) == 3, "between known points"
    assert MemoryCurve({2: 120}, is_drawn_on=True).largest_fit(1000) == 16, "all of it may grow"
    assert MemoryCurve({2: 120, 16: 120}, is_drawn_on=True).largest_fit(1000) == TUNING.largest_size
