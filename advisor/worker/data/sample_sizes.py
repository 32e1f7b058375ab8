"""How large the parts of samples are, and so which samples may take the most memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from advisor.worker.user.batch_tree import count_elements

Part = tuple[Any, ...]
"""Where a part lies in a sample: the keys and positions that lead there."""

PartSizes = Mapping[Part, int]
"""Elements of each part of a sample."""

_MOST_CANDIDATES = 3
_MOST_PARTS_OF_A_LIST = 16
"""A longer list is one part: of tokens or boxes, say."""


def sizes_of_parts(sample: Any, part: Part = ()) -> PartSizes:  # noqa: ANN401 - a sample
    """Return the elements of each part of a sample; the sample itself is one if it has none."""
    if isinstance(sample, Mapping):
        items = list(sample.items())
    elif isinstance(sample, tuple) or _is_short_list(sample):
        items = list(enumerate(sample))
    else:
        return {part: count_elements(sample)}
    return {
        inner: size
        for key, item in items
        for inner, size in sizes_of_parts(item, (*part, key)).items()
    }


def longest_of(samples: Mapping[int, PartSizes]) -> int:
    """Return the sample of the most elements, the first of several; there is at least one."""
    return max(samples, key=lambda index: sum(samples[index].values()))


def largest_in_part(samples: Mapping[int, PartSizes]) -> tuple[int, ...]:
    """Return samples with more in some part than the longest one has, the most unusual first."""
    longest = samples[longest_of(samples)]
    unusual: dict[int, float] = {}
    for part in {part: None for sizes in samples.values() for part in sizes}:
        index = max(samples, key=lambda index: samples[index].get(part, 0))
        size = samples[index].get(part, 0)
        if size > longest.get(part, 0):
            mean = sum(sizes.get(part, 0) for sizes in samples.values()) / len(samples)
            unusual[index] = max(unusual.get(index, 0.0), size / mean)
    return tuple(sorted(unusual, key=lambda index: -unusual[index])[:_MOST_CANDIDATES])


def _is_short_list(value: Any) -> bool:  # noqa: ANN401 - a part of a sample
    return isinstance(value, list) and len(value) <= _MOST_PARTS_OF_A_LIST
