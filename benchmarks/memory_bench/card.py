"""A CPU with a memory limit, which simulates a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import torch

from advisor.worker.loop.allocation_tracker import AllocationTracker
from advisor.worker.loop.observers import Phase
from benchmarks.memory_bench.task import LEARNING_RATE, Batch, Task

STEPS = 3
"""Training steps that a size must survive; Lightning's default."""


@dataclass(slots=True)
class Tally:
    """Counts of a search so far.

    Attributes:
        sizes: Sizes run, in order, each once in a row.
        samples: Samples taken in.
        out_of_memory_count: Errors raised.
    """

    sizes: list[int] = field(default_factory=list)
    samples: int = 0
    out_of_memory_count: int = 0


class Card:
    """A model in training on a device that raises when live tensors pass its limit.

    It counts while it is entered. Memory of data loading between steps is the host's and is not
    counted; a batch is counted from when a step receives it.
    """

    def __init__(self, task: Task, limit_bytes: int, tally: Tally) -> None:
        torch.manual_seed(0)
        self.task = task
        self.tally = tally
        self.model = task.build_model()
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = task.build_optimizer(trainable, LEARNING_RATE)
        self._tracker = AllocationTracker(
            self.model, self.optimizer, torch.device("cpu"), limit_bytes
        )

    def __enter__(self) -> Self:
        self._tracker.__enter__()
        return self

    def __exit__(
        self,
        error_class: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tracker.__exit__(error_class, error, traceback)

    @property
    def peak_bytes(self) -> int:
        """The most bytes that were live at a time."""
        return self._tracker.peak_bytes

    @contextmanager
    def step(self) -> Iterator[None]:
        """Count what is allocated in the block: one optimizer step."""
        self._tracker.entering(Phase.FORWARD)
        try:
            yield
        except torch.OutOfMemoryError:
            self.tally.out_of_memory_count += 1
            raise
        finally:
            self._tracker.entering(Phase.LOADING)

    def receive(self, batch: Batch, batch_size: int) -> None:
        """Move a batch to the device."""
        if self.tally.sizes[-1:] != [batch_size]:
            self.tally.sizes.append(batch_size)
        self.tally.samples += batch_size
        self._tracker.received(batch)

    def train(self, batch_size: int, steps: int = STEPS) -> None:
        """Take some optimizer steps in a plain loop.

        Raises:
            torch.OutOfMemoryError: They do not fit.
        """
        self.model.train()
        for _ in range(steps):
            batch = self.task.make_batch(batch_size)
            self.optimizer.zero_grad(set_to_none=True)
            with self.step():
                self.receive(batch, batch_size)
                torch.autograd.backward(self.task.loss_fn(self.model, batch))
                self.optimizer.step()
            del batch  # It would be counted together with the next.
