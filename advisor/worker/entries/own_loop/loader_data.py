"""The data of a script, as its training loader shows them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from torch.utils.data import (
    BatchSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
)

from advisor.worker.data.indexed import IndexedData
from advisor.worker.data.loader import Loading
from advisor.worker.data.random_state import random_state_kept, seed_everything
from advisor.worker.data.source import DataSource
from advisor.worker.data.streamed import StreamedData
from advisor.worker.scripts.handler import AnyLoader
from advisor.worker.user.hooks import Hooks, UserCodeFailed

P = ParamSpec("P")
T = TypeVar("T")

_MOST_DRAWN = 10
"""Times the data set's length of what is drawn by a sampler: some say that they never end."""
_PLACEHOLDER_SAMPLES = 2  # Of one alone, scripts that squeeze their batches make another shape.


def batch_size_of(loader: AnyLoader) -> int:
    """Return the samples of a loader's batch.

    Raises:
        ValueError: It makes no batches of a size, but its data set or its batch sampler does.
    """
    sampler = loader.batch_sampler
    if loader.batch_size is not None:
        return loader.batch_size
    # As accelerate passes a sampler on that torch has made.
    if type(sampler) is BatchSampler:
        return sampler.batch_size
    maker = "data set" if sampler is None else f"batch sampler, {type(sampler).__name__},"
    raise ValueError(f"its batches are made by a {maker} of its own, whose size cannot be set")


def open_loader(loader: AnyLoader, hooks: Hooks, seed: int) -> DataSource:
    """Return the data of a loader, to be served in batches of any size in the order of a seed.

    Which samples are drawn, and how often, is the sampler's: one that does more than to shuffle
    all of them is gone through once, and what it draws is the data set.
    """
    loading = Loading(
        hooks=hooks, collate_fn=loader.collate_fn, num_workers=loader.num_workers, seed=seed
    )
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset):
        return StreamedData(dataset, None, loading)
    with random_state_kept():
        seed_everything(seed)
        return IndexedData(hooks.call("the script", _as_drawn, loader), None, loading)


def _as_drawn(loader: AnyLoader) -> Any:
    """Return the data set with each sample as often as the sampler draws it in an epoch."""
    dataset: Any = loader.dataset
    sampler: Any = getattr(loader.batch_sampler, "sampler", loader.sampler)
    if isinstance(sampler, RandomSampler | SequentialSampler) or not hasattr(sampler, "__len__"):
        return dataset
    count = min(len(sampler), _MOST_DRAWN * len(dataset))
    return Subset(dataset, list(itertools.islice(sampler, count)))


class LoaderHooks(Hooks):
    """Calls the script's data set and collate function, which have no names of a model file's."""

    def call(self, hook: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:  # noqa: ARG002
        """Announce the script, then call ``function`` as ``guard`` does."""
        return super().call("the script", function, *args, **kwargs)

    def guard(self, hook: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` and return its result."""
        try:
            return super().guard(hook, function, *args, **kwargs)
        except UserCodeFailed as error:
            raise UserCodeFailed(replace(error.fault, hook=None)) from error


class Placeholders:
    """Batches of a loader's first two samples."""

    def __init__(self, loader: AnyLoader) -> None:
        """Take note of the loader.

        Raises:
            ValueError: It does not make batches of samples.
        """
        batch_size_of(loader)
        self._loader = loader
        self._samples: list[Any] | None = None

    def batch(self) -> Any:
        """Return a new batch."""
        if self._samples is None:
            self._samples = self._first_samples()
        return self._loader.collate_fn(list(self._samples))

    def _first_samples(self) -> list[Any]:
        dataset: Any = self._loader.dataset
        if isinstance(dataset, IterableDataset):
            return list(itertools.islice(iter(dataset), _PLACEHOLDER_SAMPLES))
        return [dataset[index] for index in range(min(_PLACEHOLDER_SAMPLES, len(dataset)))]
