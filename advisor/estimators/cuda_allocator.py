"""What CUDA's caching allocator reserves for a sequence of allocations and frees.

What fills a GPU's memory is not the live tensors but what PyTorch's allocator has reserved for
them: whole segments, of which only parts may be in use. Its rules, as of c10/cuda in PyTorch 2.4 to
2.13 with default settings:

- A request is rounded up to 512 bytes. Up to 1 MiB it is served from segments of 2 MiB, below
  10 MiB from segments of 20 MiB, else from one of its own, rounded up to 2 MiB. The first kind
  is one pool, the other two are another.
- The smallest free block of the pool that is large enough serves it; of equals, the lowest.
- What is left of that block becomes a block of its own: from 512 bytes on in the pool of small
  requests, above 1 MiB in the other. Less than that stays with the request.
- A freed block merges with free neighbours of its segment, never with another segment's.
- A segment, once reserved, is kept. When the GPU is full the allocator gives whole free segments
  back and tries again; that stalls the device at every step, so a size that needs it is not
  taken to fit, and is not followed here.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field

_MIB = 1 << 20

# The allocator's own numbers, by their names in c10/cuda/CUDACachingAllocator.

BLOCK_BYTES = 512
"""kMinBlockSize: requests are rounded up to a multiple of it."""
_SMALL_REQUEST_BYTES = _MIB
"""kSmallSize: the largest request of the small pool."""
_SMALL_SEGMENT_BYTES = 2 * _MIB
"""kSmallBuffer: a segment of the small pool."""
_OWN_SEGMENT_FROM_BYTES = 10 * _MIB
"""kMinLargeAlloc: requests from here on get a segment of their own."""
_SHARED_SEGMENT_BYTES = 20 * _MIB
"""kLargeBuffer: a segment of the other requests."""
_SEGMENT_STEP_BYTES = 2 * _MIB
"""kRoundLarge: a segment of one request is rounded up to a multiple of it."""


@dataclass(slots=True, eq=False)
class Block:
    """A contiguous part of a segment: in use, or free and in its pool."""

    address: int
    size_bytes: int
    is_small: bool
    in_use: bool = False
    before: Block | None = field(default=None, repr=False)
    after: Block | None = field(default=None, repr=False)


class CachingAllocator:
    """Models the allocator of one device and stream. Allocates nothing itself.

    Attributes:
        reserved_bytes: Bytes of all segments. They are never given back, so this is the peak.
    """

    def __init__(self) -> None:
        self.reserved_bytes = 0
        # By size, then address: what comes first and is large enough fits best.
        self._pools: dict[bool, list[tuple[int, int, Block]]] = {True: [], False: []}

    def allocate(self, size_bytes: int) -> Block:
        """Return a block for a request of at least 1 byte."""
        wanted = _round_up(size_bytes, BLOCK_BYTES)
        is_small = wanted <= _SMALL_REQUEST_BYTES
        block = self._take_best_fit(wanted, is_small=is_small) or self._reserve(
            wanted, is_small=is_small
        )
        left = block.size_bytes - wanted
        if left >= BLOCK_BYTES if is_small else left > _SMALL_REQUEST_BYTES:
            self._split(block, wanted)
        block.in_use = True
        return block

    def free(self, block: Block) -> None:
        """Take a block back that ``allocate`` returned; once."""
        if not block.in_use:
            raise ValueError(f"freed twice: {block}")
        block.in_use = False
        before, after = block.before, block.after
        if before is not None and not before.in_use:
            self._leave_pool(before)
            block = _merge(before, block)
        if after is not None and not after.in_use:
            self._leave_pool(after)
            block = _merge(block, after)
        self._enter_pool(block)

    def _take_best_fit(self, wanted: int, *, is_small: bool) -> Block | None:
        pool = self._pools[is_small]
        index = bisect_left(pool, wanted, key=lambda entry: entry[0])
        return pool.pop(index)[2] if index < len(pool) else None

    def _reserve(self, wanted: int, *, is_small: bool) -> Block:
        if is_small:
            size_bytes = _SMALL_SEGMENT_BYTES
        elif wanted < _OWN_SEGMENT_FROM_BYTES:
            size_bytes = _SHARED_SEGMENT_BYTES
        else:
            size_bytes = _round_up(wanted, _SEGMENT_STEP_BYTES)
        block = Block(address=self.reserved_bytes, size_bytes=size_bytes, is_small=is_small)
        self.reserved_bytes += size_bytes
        return block

    def _split(self, block: Block, wanted: int) -> None:
        """Leave ``wanted`` bytes to a block, and put the rest of it into the pool."""
        rest = Block(
            address=block.address + wanted,
            size_bytes=block.size_bytes - wanted,
            is_small=block.is_small,
            before=block,
            after=block.after,
        )
        if block.after is not None:
            block.after.before = rest
        block.after = rest
        block.size_bytes = wanted
        self._enter_pool(rest)

    def _enter_pool(self, block: Block) -> None:
        insort(self._pools[block.is_small], _entry(block), key=lambda entry: entry[:2])

    def _leave_pool(self, block: Block) -> None:
        pool = self._pools[block.is_small]
        del pool[bisect_left(pool, _entry(block)[:2], key=lambda entry: entry[:2])]


def _entry(block: Block) -> tuple[int, int, Block]:
    return block.size_bytes, block.address, block


def _merge(left: Block, right: Block) -> Block:
    left.size_bytes += right.size_bytes
    left.after = right.after
    if right.after is not None:
        right.after.before = left
    return left


def _round_up(size_bytes: int, step_bytes: int) -> int:
    return max(1, -(-size_bytes // step_bytes)) * step_bytes
