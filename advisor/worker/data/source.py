"""What the worker needs of the user's data, whatever its kind."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from typing import Any

from bsadvise.model.caveats import Caveat

from advisor.worker.data.neighbours import Neighbourhood

MAX_HELD_OUT_SAMPLES = 1024
"""Enough for a loss that settings can be told apart by, and soon read."""


class DataSource(ABC):
    """Serves batches on the host, as the user's ``collate_fn`` makes them.

    Close each generator that a method returns: that ends the loader's processes. Whatever
    the user's code raises on the way comes out as UserCodeFailed.

    Attributes:
        dataset_size: Samples of ``build_dataset``; None for synthetic data, and for a stream that
            does not say how long it is.
        evaluation_size: Samples of the held-out measure.
        held_out: Those samples, by index.
        is_synthetic: Whether batches are made up.
        is_stream: Whether samples come one after another, in one order.
        longest_sample: Index of the largest sample examined; None when all are alike.
    """

    dataset_size: int | None = None
    evaluation_size: int = 0
    held_out: Any = ()
    is_synthetic: bool = False
    is_stream: bool = False

    @property
    def epoch_size(self) -> int | None:
        """Samples of an epoch whose order is drawn; None of a stream, which has one order."""
        return None if self.is_stream else self.dataset_size

    @property
    def longest_sample(self) -> int | None:
        """Index of the largest sample examined; None when all are alike or have no index."""
        return None

    @abstractmethod
    def training_batches(
        self, batch_size: int, *, first_sample: int = 0
    ) -> Generator[Any, None, None]:
        """Serve training batches without end, each full.

        The order depends on the job's seed alone: whatever the batch size, position n of the
        order holds the same sample. It passes over the held-out samples.

        Args:
            batch_size: Samples a batch; may exceed the data, which then come round again.
            first_sample: Position in the order at which to begin.
        """

    def loader_batches(
        self, batch_size: int, num_workers: int | None = None  # noqa: ARG002 - for a loader
    ) -> Generator[Any, None, None]:  # fmt: skip
        """Serve training batches as the user's loader would, for its speed alone.

        Args:
            batch_size: Samples a batch.
            num_workers: Processes, in place of the user's number.
        """
        return self.training_batches(batch_size)

    def is_repeated_by(self, num_workers: int) -> bool:  # noqa: ARG002 - for streams
        """Return whether each of so many loader processes would read all samples."""
        return False

    def loading_caveats(self) -> list[Caveat]:
        """Return what the user should know about how samples come into batches."""
        return []

    def stored_batches(
        self, batch_size: int, count: int, *, most_read_samples: int  # noqa: ARG002
    ) -> list[list[Any]]:  # fmt: skip
        """Return training samples as they are stored, in batches that are not collated.

        The samples of a batch follow one another; the batches are spread over the data.

        Args:
            batch_size: Samples a batch.
            count: How many batches; fewer are returned where there are too few samples.
            most_read_samples: How far a stream may be read.
        """
        return []

    def collate(self, samples: list[Any]) -> Any:  # noqa: ANN401 - a batch
        """Return the batch of some of those samples."""
        raise NotImplementedError

    def neighbourhoods(self) -> list[Neighbourhood]:
        """Return some held-out samples with training samples stored near them and far away.

        None of where nothing of the training data was held out, or few samples are.
        """
        return []

    @abstractmethod
    def held_out_batches(self, batch_size: int) -> Generator[Any, None, None]:
        """Serve the held-out samples once, in order; the last batch may be smaller."""

    @abstractmethod
    def longest_batch(self, batch_size: int, sample: int | None = None) -> Any:  # noqa: ANN401 - a batch
        """Return a training batch with one sample in every place.

        Args:
            batch_size: Samples.
            sample: Index of that sample; None for the largest.
        """

    def largest_in_part(self) -> tuple[int, ...]:
        """Return indices of samples that are largest in a part, none of them the longest.

        What takes the most memory need not be the longest: a picture with many boxes may take more
        than a larger one with few.
        """
        return ()

    def typical_batch(self, batch_size: int) -> Any:  # noqa: ANN401 - a batch
        """Return a training batch of samples as they come, of those examined."""
        return self.longest_batch(batch_size)

    @abstractmethod
    def one_sample(self) -> Any:  # noqa: ANN401 - a sample
        """Return one training sample; of synthetic data, a batch of one."""


class HeldOutLoader:
    """The held-out batches as a loader that can be gone through again and again.

    What a user's ``evaluate(model, loader)`` is given.
    """

    def __init__(self, source: DataSource, batch_size: int, prepare: Any) -> None:  # noqa: ANN401
        self.batch_size = batch_size
        self._source = source
        self._prepare = prepare

    @property
    def dataset(self) -> Any:  # noqa: ANN401 - the user's
        """The held-out samples: many loops divide by their number."""
        return self._source.held_out

    def __len__(self) -> int:
        return math.ceil(self._source.evaluation_size / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        batches = self._source.held_out_batches(self.batch_size)
        try:
            for batch in batches:
                yield self._prepare(batch)
        finally:
            batches.close()
