"""The caching allocator's rules, as its source and its published statistics have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.cuda_allocator import Block, CachingAllocator

KIB, MIB = 1 << 10, 1 << 20

# Sizes near the bounds of the rules, and any others.
SIZES = st.one_of(
    st.integers(1, 64 * MIB),
    st.integers(1, 4 * KIB),
    st.sampled_from([MIB - 1, MIB, MIB + 1, 10 * MIB - 512, 10 * MIB, 20 * MIB, 2 * MIB + 1]),
)
# Each number says which of the blocks in use to free after an allocation; None for none.
SCRIPTS = st.lists(st.tuples(SIZES, st.none() | st.integers(0, 1000)), min_size=1, max_size=60)


def _rounded(size: int) -> int:
    return -(-size // 512) * 512


def _play(script: list[tuple[int, int | None]]) -> tuple[CachingAllocator, dict[Block, int], int]:
    """Return the allocator, the blocks in use with their requests, and the most asked for."""
    allocator = CachingAllocator()
    in_use: dict[Block, int] = {}
    most = reserved = 0
    for size, victim in script:
        in_use[allocator.allocate(size)] = size
        most = max(most, sum(map(_rounded, in_use.values())))
        assert allocator.reserved_bytes >= reserved, "segments are kept"
        reserved = allocator.reserved_bytes
        if victim is not None:
            block = list(in_use)[victim % len(in_use)]
            allocator.free(block)
            del in_use[block]
            assert allocator.reserved_bytes == reserved
    return allocator, in_use, most


@pytest.mark.parametrize(
    ("size", "reserved"),
    [
        (1, 2 * MIB),
        (MIB, 2 * MIB),
        (MIB + 1, 20 * MIB),
        (10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB),
        (10 * MIB + 1, 12 * MIB),
        (100 * MIB + 3, 102 * MIB),
    ],
)
def test_a_first_request_reserves_its_segment(size: int, reserved: int) -> None:
    allocator = CachingAllocator()
    allocator.allocate(size)
    assert allocator.reserved_bytes == reserved


def test_small_requests_share_a_segment_to_the_last_block() -> None:
    allocator = CachingAllocator()
    for _ in range(2 * MIB // 512):
        allocator.allocate(1)
    assert allocator.reserved_bytes == 2 * MIB
    allocator.allocate(1)
    assert allocator.reserved_bytes == 4 * MIB


def test_of_a_large_block_a_mebibyte_or_less_stays_with_the_request() -> None:
    allocator = CachingAllocator()
    allocator.free(allocator.allocate(12 * MIB))
    kept = allocator.allocate(11 * MIB)
    assert (kept.size_bytes, allocator.reserved_bytes) == (12 * MIB, 12 * MIB)
    allocator.free(kept)
    assert allocator.allocate(11 * MIB - 512).size_bytes == 11 * MIB - 512


def test_the_smallest_free_block_that_is_large_enough_serves() -> None:
    allocator = CachingAllocator()
    large, fitting, small = (allocator.allocate(size * MIB) for size in (40, 24, 12))
    addresses = {block.address for block in (fitting,)}
    for block in (large, fitting, small):
        allocator.free(block)
    assert allocator.allocate(20 * MIB).address in addresses
    assert allocator.reserved_bytes == 76 * MIB


def test_segments_do_not_merge() -> None:
    allocator = CachingAllocator()
    for block in [allocator.allocate(20 * MIB) for _ in range(4)]:
        allocator.free(block)
    allocator.allocate(80 * MIB)
    assert allocator.reserved_bytes == 160 * MIB


def test_neighbours_merge() -> None:
    allocator = CachingAllocator()
    for block in [allocator.allocate(5 * MIB) for _ in range(4)]:
        allocator.free(block)
    assert allocator.allocate(20 * MIB - 512).address == 0
    assert allocator.reserved_bytes == 20 * MIB


def test_a_block_is_freed_once() -> None:
    allocator = CachingAllocator()
    block = allocator.allocate(1)
    allocator.free(block)
    with pytest.raises(ValueError, match="freed twice"):
        allocator.free(block)


@given(SCRIPTS)
def test_what_is_reserved_holds_all_that_is_asked_for(
    script: list[tuple[int, int | None]],
) -> None:
    allocator, in_use, most = _play(script)
    assert allocator.reserved_bytes >= most
    assert allocator.reserved_bytes >= sum(block.size_bytes for block in in_use)
    assert all(block.size_bytes >= size for block, size in in_use.items())


@given(SCRIPTS)
def test_blocks_in_use_never_overlap(script: list[tuple[int, int | None]]) -> None:
    _, in_use, _ = _play(script)
    ends = 0
    for block in sorted(in_use, key=lambda block: block.address):
        assert block.address >= ends
        ends = block.address + block.size_bytes


@given(SCRIPTS)
def test_after_all_is_freed_the_same_again_reserves_no_more(
    script: list[tuple[int, int | None]],
) -> None:
    allocator, in_use, _ = _play(script)
    reserved = allocator.reserved_bytes
    for block in in_use:
        allocator.free(block)
    assert allocator.reserved_bytes == reserved
    # Merged whole again: the largest request finds its segment.
    allocator.allocate(max(size for size, _ in script))
    assert allocator.reserved_bytes == reserved


@given(SCRIPTS)
def test_equal_sequences_reserve_equally(script: list[tuple[int, int | None]]) -> None:
    (first, first_in_use, _), (second, second_in_use, _) = _play(script), _play(script)
    assert first.reserved_bytes == second.reserved_bytes
    first_addresses, second_addresses = (
        [block.address for block in in_use] for in_use in (first_in_use, second_in_use)
    )
    assert first_addresses == second_addresses
