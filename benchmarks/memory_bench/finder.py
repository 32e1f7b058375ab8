"""Lightning's batch-size finder, in both of its modes."""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.tuner import Tuner
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.memory_bench.card import Card, Tally
from benchmarks.memory_bench.cases import WARM_UP, Case
from benchmarks.memory_bench.found import Found
from benchmarks.memory_bench.task import Batch, load_task

_BATCHES = 1 << 20
"""More than any search takes, so that no epoch ends during it."""


class _Batches(Dataset[Batch]):
    """Synthetic batches, so that no time is spent loading samples."""

    def __init__(self, make_batch: Callable[[int], Batch], batch_size: int) -> None:
        self._make_batch = make_batch
        self._batch_size = batch_size

    def __len__(self) -> int:
        """Return how many there are."""
        return _BATCHES

    def __getitem__(self, index: int) -> Batch:
        """Return a batch."""
        return self._make_batch(self._batch_size)


class _Module(LightningModule):
    """Trains the model of a card."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.model = card.model
        self.batch_size = 2
        self._card = card

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the card's optimizer."""
        return self._card.optimizer

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return batches of the size that is tried."""
        return DataLoader(_Batches(self._card.task.make_batch, self.batch_size), batch_size=None)

    def training_step(self, batch: Batch) -> Tensor:
        """Return the loss."""
        self._card.receive(batch, self.batch_size)
        return self._card.task.loss_fn(self.model, batch)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Lightning's
        """Take a step: the forward and the backward pass are in its closure."""
        with self._card.step():
            super().optimizer_step(*args, **kwargs)


def search(case: Case, mode: str) -> Found:
    """Return the finder's result for a case.

    Args:
        case: The case.
        mode: "power" or "binsearch".
    """
    warnings.filterwarnings("ignore", module="lightning")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    _search(WARM_UP, mode)
    return _search(case, mode)


def _search(case: Case, mode: str) -> Found:
    tally = Tally()
    begun_s = time.perf_counter()
    task = load_task(case.path)
    with tempfile.TemporaryDirectory() as folder, Card(task, case.limit_bytes, tally) as card:
        trainer = Trainer(
            max_epochs=1000,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        size = Tuner(trainer).scale_batch_size(_Module(card), mode=mode)
    return Found(
        batch_size=size,
        sizes_tried=tuple(tally.sizes),
        run_count=len(tally.sizes),
        samples=tally.samples,
        out_of_memory_count=tally.out_of_memory_count,
        search_s=time.perf_counter() - begun_s,
    )
