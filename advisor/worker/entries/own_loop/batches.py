"""What a script iterates in place of its loader's iterators, and the batches that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from advisor.worker.entries.own_loop.request import Purpose, Request
from advisor.worker.scripts.handler import AnyLoader


@dataclass(slots=True)
class Served:
    """A batch that the script has, and has not come to the backward pass of.

    Attributes:
        batch: The batch.
        request: What it was served for; None for nothing.
        is_announced: Whether observers know that it is processed.
    """

    batch: Any
    request: Request | None = None
    is_announced: bool = False

    @property
    def purpose(self) -> Purpose:
        """What it was served for."""
        return self.request.purpose if self.request else Purpose.PLACEHOLDER


class Batches(Iterator[Any]):
    """An iterator of a loader's, which asks for each batch.

    Attributes:
        is_read_in_turn: Whether it is read once for each batch of the training loader.
    """

    is_read_in_turn = False

    def __init__(
        self,
        loader: AnyLoader,
        number: int,
        make_iterator: Callable[[], Iterator[Any]],
        next_batch: Callable[[Batches], Any],
    ) -> None:
        """Serve in place of a loader's own.

        Args:
            loader: The loader.
            number: How many other loaders were read before it for the first time.
            make_iterator: Makes its own iterator, which may never be needed.
            next_batch: Called with this for each batch.
        """
        self.loader = loader
        self.number = number
        self._make_iterator = make_iterator
        self._next_batch = next_batch
        self._iterator: Iterator[Any] | None = None
        self._read_at: int | None = None

    def __next__(self) -> Any:
        return self._next_batch(self)

    def __len__(self) -> int:
        return len(self.loader)

    def own_batch(self) -> Any:
        """Return the next batch of the loader's own. Raises StopIteration after the last."""
        if self._iterator is None:
            self._iterator = self._make_iterator()
        return next(self._iterator)

    def batch_in_turn(self, served_count: int) -> Any:
        """Return a batch of a loader that does not train.

        One, so that validations are short; and, without end, one more for each that trains, where
        both are read in turn.

        Args:
            served_count: Batches that the training loader has served.

        Raises:
            StopIteration: It has served none since this one's last.
        """
        if self._read_at == served_count:
            raise StopIteration
        self.is_read_in_turn = self._read_at is not None
        self._read_at = served_count
        try:
            return self.own_batch()
        except StopIteration:
            self._iterator = None
            return self.own_batch()

    def close(self) -> None:
        """End the loader's own processes."""
        end_processes = getattr(self._iterator, "_shutdown_workers", None)
        if end_processes is not None:
            end_processes()
        self._iterator = None
