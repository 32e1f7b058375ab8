"""Batches that share samples, so that the loss of one compares with the losses of its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from advisor.worker.data.source import DataSource
from advisor.worker.user.batch_tree import count_elements, map_tensors, tensors_in


def batches_of_samples(
    data: DataSource, count: int, seed: int
) -> Callable[[Sequence[int]], Any] | None:
    """Return what makes a batch of some of ``count`` samples, by their numbers; None if none can.

    A largest sample stands first in each third, so that all parts are padded to one length.
    """
    if data.is_synthetic:
        return _cut(data.longest_batch(count), count)
    samples = [sample for (sample,) in data.stored_batches(1, count, most_read_samples=count)]
    if len(samples) < count:
        return None
    Random(seed).shuffle(samples)  # noqa: S311 - for a shuffle
    sizes = [count_elements(sample) for sample in samples]
    if len(set(sizes)) > 1:
        longest = samples[sizes.index(max(sizes))]
        for first in range(0, count, count // 3):
            samples[first] = longest
    return lambda members: data.collate([samples[member] for member in members])


def _cut(batch: Any, count: int) -> Callable[[Sequence[int]], Any] | None:  # noqa: ANN401 - a batch
    """Return what cuts a synthetic batch; None where not all of its tensors are stacked samples."""
    tensors = list(tensors_in(batch))
    if not tensors or any(t.ndim == 0 or t.size(0) != count for t in tensors):
        return None
    return lambda members: map_tensors(batch, lambda tensor: tensor[list(members)])
