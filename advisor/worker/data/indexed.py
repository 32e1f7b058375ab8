"""Data sets whose samples have an index and a number."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import cached_property
from typing import Any

import torch
from bsadvise.model.caveats import Caveat
from torch.utils.data import Sampler, Subset

from advisor.worker.data.loader import Loading
from advisor.worker.data.loading_faults import (
    EXAMINED_BATCH,
    EXAMINED_BATCHES,
    dropped_samples,
)
from advisor.worker.data.neighbours import FAR, Neighbourhood
from advisor.worker.data.order import EndlessBatches, Order, Permutations, split, thin_out
from advisor.worker.data.sample_sizes import (
    PartSizes,
    largest_in_part,
    longest_of,
    sizes_of_parts,
)
from advisor.worker.data.sampled import SampledEpochs
from advisor.worker.data.source import MAX_HELD_OUT_SAMPLES, DataSource

_FIRST_EXAMINED = 64
_MOST_EXAMINED = 512
_NEIGHBOURHOODS = 24
_LEAST_OF_NEIGHBOURHOODS = 5 * FAR
"""Samples of a data set: of fewer, those far away are hardly further than neighbours."""


class IndexedData(DataSource):
    """A map-style data set."""

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401 - the user's
        evaluation_dataset: Any | None,  # noqa: ANN401 - the user's
        loading: Loading,
        sampler: Sampler[int] | None = None,
    ) -> None:
        """Take the data over.

        Args:
            dataset: The training data, with at least one sample.
            evaluation_dataset: The held-out data, map-style; None to hold training samples out.
            loading: How batches are made.
            sampler: Draws each epoch's samples; None to shuffle them.
        """
        size = len(dataset)
        self.dataset_size = size
        self._dataset = dataset
        self._is_split = evaluation_dataset is None
        self._loading = loading
        if evaluation_dataset is None:
            self._training_indices, held_out = split(size)
            self.held_out = Subset(dataset, held_out)
        else:
            self._training_indices = torch.arange(size, device="cpu")
            held_out = thin_out(len(evaluation_dataset), MAX_HELD_OUT_SAMPLES)
            self.held_out = Subset(evaluation_dataset, held_out)
        self.evaluation_size = len(held_out)
        self._order: Order = (
            Permutations(self._training_indices, seed=loading.seed)
            if sampler is None
            else SampledEpochs(sampler, self._training_indices, size, seed=loading.seed)
        )

    @cached_property
    def _sizes_by_index(self) -> dict[int, PartSizes]:
        """Elements of each part of the samples examined."""
        sizes = self._sizes(thin_out(len(self._dataset), _FIRST_EXAMINED))
        if not _are_alike(sizes):
            # Only where sizes differ is it worth while to read hundreds of samples.
            sizes = self._sizes(thin_out(len(self._dataset), _MOST_EXAMINED))
        return sizes

    @property
    def longest_sample(self) -> int | None:
        """Index of the largest sample examined; None when all are alike."""
        sizes = self._sizes_by_index
        return None if _are_alike(sizes) else longest_of(sizes)

    def largest_in_part(self) -> tuple[int, ...]:
        """Return samples of those examined that are largest in a part."""
        return () if self._loading.build_longest_sample else largest_in_part(self._sizes_by_index)

    def _sizes(self, indices: list[int]) -> dict[int, PartSizes]:
        return {index: sizes_of_parts(self._sample(index)) for index in indices}

    def _sample(self, index: int) -> Any:  # noqa: ANN401 - a sample
        return self._loading.hooks.call(
            self._loading.dataset_hook, self._dataset.__getitem__, index
        )

    def training_batches(
        self, batch_size: int, *, first_sample: int = 0
    ) -> Generator[Any, None, None]:
        """Serve training batches without end, each full."""
        return self._batches(batch_size, first_sample, None)

    def loader_batches(
        self, batch_size: int, num_workers: int | None = None
    ) -> Generator[Any, None, None]:
        """Serve training batches from a number of processes."""
        return self._batches(batch_size, 0, num_workers)

    def _batches(
        self, batch_size: int, first_sample: int, num_workers: int | None
    ) -> Generator[Any, None, None]:
        order = EndlessBatches(self._order, batch_size=batch_size, first_sample=first_sample)
        return self._loading.serve(self._dataset, batch_sampler=order, num_workers=num_workers)

    def loading_caveats(self) -> list[Caveat]:
        """Return whether the collate function drops samples."""
        batches = self.stored_batches(EXAMINED_BATCH, EXAMINED_BATCHES, most_read_samples=0)
        return dropped_samples(self._loading, batches)

    def stored_batches(
        self, batch_size: int, count: int, *, most_read_samples: int  # noqa: ARG002 - for streams
    ) -> list[list[Any]]:  # fmt: skip
        """Return training samples in the order of their indices, in batches."""
        whole = len(self._training_indices) // batch_size
        starts = [batch_size * position for position in thin_out(whole, count)]
        return [
            [self._sample(i) for i in self._training_indices[start : start + batch_size].tolist()]
            for start in starts
        ]

    def collate(self, samples: list[Any]) -> Any:  # noqa: ANN401 - a batch
        """Return the batch of some samples."""
        return self._loading.collate(samples)

    def neighbourhoods(self) -> list[Neighbourhood]:
        """Return some held-out samples with training samples stored near them and far away."""
        if not self._is_split or len(self._dataset) < _LEAST_OF_NEIGHBOURHOODS:
            return []
        inner = [i for i in self.held_out.indices if FAR < i < len(self._dataset) - FAR - 1]
        return [
            self._neighbourhood(inner[position])
            for position in thin_out(len(inner), _NEIGHBOURHOODS)
        ]

    def _neighbourhood(self, index: int) -> Neighbourhood:
        training, size = self._training_indices, len(self._dataset)

        def trained(place: int, side: int) -> Any:  # noqa: ANN401 - a sample
            """Return the first training sample from a place on, to one side."""
            position = int(torch.searchsorted(training, place, right=side < 0))
            position = position - 1 if side < 0 else position
            return self._batch_of_one(int(training[min(max(position, 0), len(training) - 1)]))

        return Neighbourhood(
            held_out=self._batch_of_one(index),
            beside=(trained(index, -1), trained(index, 1)),
            far=(trained(index - FAR, -1), trained(index + FAR, 1)),
            elsewhere=tuple(trained((index + k * size // 3) % size, 1) for k in (1, 2)),
        )

    def _batch_of_one(self, index: int) -> Any:  # noqa: ANN401 - a batch
        """Return a sample as the model is given it: in tensors, whatever the data set holds."""
        return self.collate([self._sample(index)])

    def held_out_batches(self, batch_size: int) -> Generator[Any, None, None]:
        """Serve the held-out samples once, in order."""
        return self._loading.serve_held_out(self.held_out, batch_size)

    def longest_batch(self, batch_size: int, sample: int | None = None) -> Any:  # noqa: ANN401 - a batch
        """Return a batch with one sample in every place, the largest or another."""
        chosen = self.one_sample() if sample is None else self._sample(sample)
        return self._loading.repeat(chosen, batch_size)

    def typical_batch(self, batch_size: int) -> Any:  # noqa: ANN401 - a batch
        """Return a batch of samples as they come, of those examined."""
        indices = list(self._sizes_by_index)
        return self._loading.draw([self._sample(index) for index in indices], batch_size)

    def one_sample(self) -> Any:  # noqa: ANN401 - a sample
        """Return the largest sample: the one that the user names, else of those examined."""
        named = self._loading.named_longest()
        if named is not None:
            return named
        return self._sample(longest_of(self._sizes_by_index))


def _are_alike(sizes: Mapping[int, PartSizes]) -> bool:
    return len({tuple(parts.values()) for parts in sizes.values()}) == 1
