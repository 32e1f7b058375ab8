"""Faults on the way from samples to batches of which there is no exception."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

import torch
from bsadvise.model.caveats import Caveat, CaveatCode
from torch.utils.data import IterableDataset

from advisor.worker.data.loader import Loading
from advisor.worker.data.random_state import random_state_kept
from advisor.worker.user.batch_tree import tensors_in
from advisor.worker.user.hooks import UserCodeFailed
from advisor.worker.user.reading import line_of_function

EXAMINED_BATCH = 8
"""Samples of a batch that is collated to see whether some are dropped."""
EXAMINED_BATCHES = 4

_PROCESSES = 2
_COMPARED = 4
"""Samples of each process; data that differ agree in none."""


def dropped_samples(loading: Loading, batches: Sequence[list[Any]]) -> list[Caveat]:
    """Return a caveat where the user's collate function leaves samples out.

    Args:
        loading: How batches are made.
        batches: Samples in batches, not collated.
    """
    if loading.collate_fn is None:
        return []
    given = kept = 0
    with random_state_kept():
        for samples in batches:
            count = _count(loading, samples)
            if count is None or not 0 < count < len(samples):
                continue
            # What a batch holds may be counted otherwise, by time steps say; alone, a sample then
            # counts as something else than one or none.
            if sum(_count(loading, [sample]) or 0 for sample in samples) == count:
                given, kept = given + len(samples), kept + count
    if given == 0:
        return []
    place = _place(loading, "collate_fn")
    return [
        Caveat(
            code=CaveatCode.SAMPLES_DROPPED,
            text=f"{place}collate_fn leaves samples out, {given - kept} of {given} in the batches "
            "that it does so in: batches are smaller than advised. Leave them out in "
            f"{loading.dataset_hook}: `return torch.utils.data.Subset(dataset, kept)`.",
        )
    ]


def _count(loading: Loading, samples: list[Any]) -> int | None:
    """Return how many samples a batch holds, if all of its tensors agree; None otherwise."""
    try:
        batch = loading.collate(list(samples))
    except UserCodeFailed:  # A batch without any sample, as often as not.
        return None
    sizes = {tensor.size(0) for tensor in tensors_in(batch) if tensor.ndim > 0}
    return int(sizes.pop()) if len(sizes) == 1 else None


def repeated_stream(loading: Loading, stream: Iterable[Any]) -> list[Caveat]:
    """Return a caveat where each of the user's loader processes reads the whole of a stream."""
    if not is_repeated(loading, stream, loading.num_workers):
        return []
    place = _place(loading, "__iter__")
    return [
        Caveat(
            code=CaveatCode.STREAM_REPEATED,
            text=f"{place}the stream does not ask get_worker_info(), so that each of the "
            f"{loading.num_workers} processes of the loader reads all of it and an epoch holds "
            f"every sample {loading.num_workers} times. In __iter__, with "
            "`info = torch.utils.data.get_worker_info()`, return "
            "`itertools.islice(samples, info.id, None, info.num_workers)`, or set "
            "NUM_WORKERS to at most 1.",
        )
    ]


def is_repeated(loading: Loading, stream: Iterable[Any], num_workers: int) -> bool:
    """Return whether each of so many loader processes would read the whole of a stream.

    Seen by reading it so, in two processes that take turns.
    """
    if num_workers < _PROCESSES or not isinstance(stream, IterableDataset):
        return False
    batches = loading.serve(stream, batch_size=1, num_workers=_PROCESSES, collate_fn=list)
    with random_state_kept(), closing(batches):
        read = list(itertools.islice(batches, _PROCESSES * _COMPARED))
    first, second = read[::_PROCESSES], read[1::_PROCESSES]
    return len(read) == _PROCESSES * _COMPARED and all(map(_is_same, first, second))


def _is_same(one: Any, other: Any) -> bool:  # noqa: ANN401 - samples
    ours, theirs = list(tensors_in(one)), list(tensors_in(other))
    if not ours:
        return repr(one) == repr(other)
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def _place(loading: Loading, function: str) -> str:
    line = line_of_function(loading.hooks.source, function)
    return f"{loading.hooks.entry_path}:{line}: " if line else ""
