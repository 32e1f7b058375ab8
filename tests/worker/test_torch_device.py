"""The device as torch knows it."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from advisor.worker.loop.torch_device import memory_fraction

MOST_BYTES = 1 << 40


@given(st.integers(1, MOST_BYTES), st.integers(1, MOST_BYTES))
@example(2 << 30, 85_017_755_648)
def test_of_the_fraction_pytorch_makes_exactly_the_limit(one: int, other: int) -> None:
    limit_bytes, total_bytes = sorted((one, other))
    fraction = memory_fraction(limit_bytes, total_bytes)
    assert int(fraction * total_bytes) == limit_bytes


def test_no_more_than_the_device_has_is_asked_for() -> None:
    assert memory_fraction(10, 4) == memory_fraction(4, 4) == 1.0
