"""Data sets that are a stream: samples one after another, without index or number."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator
from functools import cached_property
from typing import Any

from bsadvise.model.caveats import Caveat
from torch.utils.data import IterableDataset, Subset

from advisor.worker.data.loader import Loading
from advisor.worker.data.loading_faults import (
    EXAMINED_BATCH,
    EXAMINED_BATCHES,
    dropped_samples,
    repeated_stream,
)
from advisor.worker.data.order import thin_out
from advisor.worker.data.random_state import random_state_kept
from advisor.worker.data.source import MAX_HELD_OUT_SAMPLES, DataSource
from advisor.worker.user.batch_tree import count_elements

_HELD_OUT_SAMPLES = 256
_HEAD_SAMPLES = 2 * _HELD_OUT_SAMPLES


class _Restarted(IterableDataset[Any]):
    """A stream that begins again when it ends, without its first samples."""

    def __init__(self, stream: Iterable[Any], *, skip: int, skip_once: int = 0) -> None:
        self._stream = stream
        self._skip = skip
        self._skip_once = skip_once

    def __iter__(self) -> Iterator[Any]:
        samples = self._without_end()
        # What is skipped may draw numbers as it comes. It did so before, for whoever trained on
        # it: this training must find the generators as they are now.
        with random_state_kept():
            next(itertools.islice(samples, self._skip_once, self._skip_once), None)
        return samples

    def _without_end(self) -> Iterator[Any]:
        while True:
            is_empty = True
            for sample in itertools.islice(iter(self._stream), self._skip, None):
                is_empty = False
                yield sample
            if is_empty:
                raise RuntimeError("the stream gave no samples when it was read again")


class StreamedData(DataSource):
    """An iterable data set.

    Its first samples are held out. Training reads it in this process, since what several
    processes make of a stream has no order that could be repeated.
    """

    def __init__(
        self, stream: Iterable[Any], evaluation_dataset: Any | None, loading: Loading  # noqa: ANN401
    ) -> None:  # fmt: skip
        """Take the data over.

        Args:
            stream: The training data.
            evaluation_dataset: The held-out data, map-style; None to hold samples out.
            loading: How batches are made.
        """
        self._stream = stream
        self._loading = loading
        self._head: list[Any] = loading.hooks.call(
            loading.dataset_hook, take, stream, _HEAD_SAMPLES
        )
        self._skip = 0
        if evaluation_dataset is None:
            self._skip = min(_HELD_OUT_SAMPLES, max(len(self._head) // 10, 0))
            if len(self._head) == _HEAD_SAMPLES:
                self._skip = _HELD_OUT_SAMPLES
            self._held_out: Any = self._head[: self._skip]
        else:
            indices = thin_out(len(evaluation_dataset), MAX_HELD_OUT_SAMPLES)
            self._held_out = Subset(evaluation_dataset, indices)
        self.evaluation_size = len(self._held_out)

    @property
    def is_empty(self) -> bool:
        """Whether the stream has no sample at all."""
        return not self._head

    @cached_property
    def _longest(self) -> Any:  # noqa: ANN401 - a sample
        named = self._loading.named_longest()
        return max(self._head, key=count_elements) if named is None else named

    def training_batches(
        self, batch_size: int, *, first_sample: int = 0
    ) -> Generator[Any, None, None]:
        """Serve training batches without end, each full."""
        samples = _Restarted(self._stream, skip=self._skip, skip_once=first_sample)
        return self._loading.serve(samples, batch_size=batch_size, drop_last=True, num_workers=0)

    def loader_batches(self, batch_size: int) -> Generator[Any, None, None]:
        """Serve batches from the user's number of processes, in no fixed order."""
        samples = _Restarted(self._stream, skip=0)
        return self._loading.serve(samples, batch_size=batch_size, drop_last=True)

    def loading_caveats(self) -> list[Caveat]:
        """Return whether the collate function drops samples, and several processes repeat them."""
        starts = range(0, len(self._head) - EXAMINED_BATCH + 1, EXAMINED_BATCH)
        batches = [self._head[start : start + EXAMINED_BATCH] for start in starts]
        return [
            *dropped_samples(self._loading, batches[:EXAMINED_BATCHES]),
            *repeated_stream(self._loading, self._stream),
        ]

    def stored_batches(
        self, batch_size: int, count: int, *, most_read_samples: int
    ) -> list[list[Any]]:
        """Return training samples as they come, in batches spread over what is read."""
        most = most_read_samples // batch_size
        loading = self._loading
        read = loading.hooks.call(loading.dataset_hook, self._spread, batch_size, 2 * count, most)
        return [read[index] for index in thin_out(len(read), count)]

    def _spread(self, batch_size: int, most_kept: int, most_read: int) -> list[list[Any]]:
        """Return at most ``most_kept`` evenly spread batches of the first ``most_read``.

        How long the stream is shows only at its end, so every second batch is let go of whenever
        there are too many.
        """
        samples = itertools.islice(iter(self._stream), self._skip, None)
        kept: list[list[Any]] = []
        stride = 1
        for index in range(most_read):
            batch = list(itertools.islice(samples, batch_size))
            if len(batch) < batch_size:
                break
            if index % stride == 0:
                kept.append(batch)
            if len(kept) > most_kept:
                kept, stride = kept[::2], 2 * stride
        return kept

    def collate(self, samples: list[Any]) -> Any:  # noqa: ANN401 - a batch
        """Return the batch of some samples."""
        return self._loading.collate(samples)

    def held_out_batches(self, batch_size: int) -> Generator[Any, None, None]:
        """Serve the held-out samples once, in order."""
        return self._loading.serve_held_out(self._held_out, batch_size)

    def longest_batch(self, batch_size: int) -> Any:  # noqa: ANN401 - a batch
        """Return a batch with the largest sample in every place."""
        return self._loading.repeat(self._longest, batch_size)

    def one_sample(self) -> Any:  # noqa: ANN401 - a sample
        """Return the largest sample examined."""
        return self._longest


def take(stream: Iterable[Any], count: int) -> list[Any]:
    """Return the first ``count`` samples of a stream, or all where there are fewer."""
    return list(itertools.islice(iter(stream), count))
