"""The order of a user's own sampler, made to depend on the seed and the epoch alone."""

from __future__ import annotations

import itertools
from collections.abc import Sized

import torch
from torch.utils.data import Sampler

from advisor.worker.data.order import epoch_seed
from advisor.worker.data.random_state import random_state_kept, seed_everything


class SampledEpochs:
    """The epochs of a sampler, without the samples that are held out."""

    def __init__(
        self, sampler: Sampler[int], kept: torch.Tensor, dataset_size: int, *, seed: int
    ) -> None:
        """Take the sampler over.

        Args:
            sampler: Yields the indices of an epoch.
            kept: Indices that are trained on, ascending, at least one.
            dataset_size: Samples of the data set.
            seed: Seed of what the sampler draws.
        """
        self._sampler = sampler
        self._kept = frozenset(kept.tolist())
        self._seed = seed
        # As many in each epoch, or a position in the order would stand for no sample.
        drawn = len(sampler) if isinstance(sampler, Sized) else dataset_size
        self.size = max(1, drawn * len(kept) // dataset_size)

    def epoch(self, number: int) -> list[int]:
        """Return the indices of an epoch.

        Raises:
            RuntimeError: The sampler draws none of the samples that are trained on.
        """
        with random_state_kept():
            drawn = [int(i) for i in self._drawn(number) if int(i) in self._kept]
        if not drawn:
            raise RuntimeError("the sampler draws no sample that is trained on")
        return list(itertools.islice(itertools.cycle(drawn), self.size))

    def _drawn(self, number: int) -> list[int]:
        seed = epoch_seed(self._seed, number)
        seed_everything(seed)
        generator = getattr(self._sampler, "generator", None)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(seed)
        set_epoch = getattr(self._sampler, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(number)
        return list(self._sampler)
