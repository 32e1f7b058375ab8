"""The rules of thumb are what people say they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.rules_of_thumb import (
    default_batch_size,
    largest_power_of_two,
    share_of_training_set,
)


def test_the_default_is_thirty_two() -> None:
    assert default_batch_size()[1] == 32


@given(largest=st.integers(1, 1 << 40))
def test_the_largest_power_of_two_fits_and_its_double_does_not(largest: int) -> None:
    size = largest_power_of_two(largest)[1]
    assert size <= largest < 2 * size
    assert size & (size - 1) == 0


@pytest.mark.parametrize(
    ("dataset_size", "size"), [(1, 1), (1_000, 2), (60_000, 120), (128_000, 256), (10**9, 256)]
)
def test_the_share_of_the_training_set_is_capped(dataset_size: int, size: int) -> None:
    assert share_of_training_set(dataset_size)[1] == size
