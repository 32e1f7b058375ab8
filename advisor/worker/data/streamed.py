"""Data sets that are a stream: samples one after another, without index or number."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Generator, Iterable, Iterator
from functools import cached_property
from typing import Any

from bsadvise.model.caveats import Caveat
from torch.utils.data import IterableDataset, Subset

from advisor.domain.limits import DATASET_SIZE
from advisor.worker.data.loader import Loading
from advisor.worker.data.loading_faults import (
    EXAMINED_BATCH,
    EXAMINED_BATCHES,
    dropped_samples,
    is_repeated,
    repeated_stream,
)
from advisor.worker.data.order import thin_out
from advisor.worker.data.random_state import random_state_kept
from advisor.worker.data.sample_sizes import (
    PartSizes,
    largest_in_part,
    longest_of,
    sizes_of_parts,
)
from advisor.worker.data.source import MAX_HELD_OUT_SAMPLES, DataSource

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

    is_stream = True

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
            self.held_out = self._head[: self._skip]
        else:
            indices = thin_out(len(evaluation_dataset), MAX_HELD_OUT_SAMPLES)
            self.held_out = Subset(evaluation_dataset, indices)
        self.evaluation_size = len(self.held_out)
        self.dataset_size = self._length()

    def _length(self) -> int | None:
        """Return how many samples the stream has; None where that is not known."""
        if len(self._head) < _HEAD_SAMPLES:
            return len(self._head) or None
        try:
            length = operator.length_hint(self._stream)
        except Exception:  # noqa: BLE001 - it is the user's, and of no need
            return None
        return length if length >= len(self._head) and DATASET_SIZE.holds(length) else None

    @property
    def is_empty(self) -> bool:
        """Whether the stream has no sample at all."""
        return not self._head

    @cached_property
    def _longest(self) -> Any:  # noqa: ANN401 - a sample
        named = self._loading.named_longest()
        return self._head[longest_of(self._sizes)] if named is None else named

    @cached_property
    def _sizes(self) -> dict[int, PartSizes]:
        return {index: sizes_of_parts(sample) for index, sample in enumerate(self._head)}

    def training_batches(
        self, batch_size: int, *, first_sample: int = 0
    ) -> Generator[Any, None, None]:
        """Serve training batches without end, each full."""
        samples = _Restarted(self._stream, skip=self._skip, skip_once=first_sample)
        return self._loading.serve(samples, batch_size=batch_size, drop_last=True, num_workers=0)

    def loader_batches(
        self, batch_size: int, num_workers: int | None = None
    ) -> Generator[Any, None, None]:
        """Serve batches from a number of processes, in no fixed order."""
        samples = _Restarted(self._stream, skip=0)
        return self._loading.serve(
            samples, batch_size=batch_size, drop_last=True, num_workers=num_workers
        )

    def is_repeated_by(self, num_workers: int) -> bool:
        """Return whether each of so many loader processes would read the whole stream."""
        return is_repeated(self._loading, _Restarted(self._stream, skip=0), num_workers)

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
        return self._loading.serve_held_out(self.held_out, batch_size)

    def longest_batch(self, batch_size: int, sample: int | None = None) -> Any:  # noqa: ANN401 - a batch
        """Return a batch with one sample in every place, the largest or another."""
        # A stream may be a shorter one the next time that it is read.
        if sample is None or sample >= len(self._head):
            return self._loading.repeat(self._longest, batch_size)
        return self._loading.repeat(self._head[sample], batch_size)

    def largest_in_part(self) -> tuple[int, ...]:
        """Return samples of those examined that are largest in a part."""
        return () if self._loading.build_longest_sample else largest_in_part(self._sizes)

    def one_sample(self) -> Any:  # noqa: ANN401 - a sample
        """Return the largest sample examined."""
        return self._longest


def take(stream: Iterable[Any], count: int) -> list[Any]:
    """Return the first ``count`` samples of a stream, or all where there are fewer."""
    return list(itertools.islice(iter(stream), count))
