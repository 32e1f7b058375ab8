"""Lightning's Tuner: its batch-size finder, then its learning-rate range test at that size."""

from __future__ import annotations

import importlib
import logging
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.tuner import Tuner
from torch import Tensor
from torch.utils.data import DataLoader

from advisor.worker.user.default_loss import default_loss
from benchmarks.regret_bench.workloads import DIRECTORY


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What the tuner returned.

    Attributes:
        batch_size: The batch size that it set.
        learning_rate: Suggestion of the range test; None if there is none.
        step_counts: Steps taken at each batch size.
    """

    batch_size: int
    learning_rate: float | None
    step_counts: dict[int, int]


class _Module(LightningModule):
    """Trains a workload's model on its own data."""

    def __init__(self, workload: ModuleType) -> None:
        super().__init__()
        self.batch_size = 2
        self.lr = 1e-3
        self.step_counts: Counter[int] = Counter()
        self.model = workload.build_model()
        self._dataset = workload.build_dataset()
        self._loss_fn = getattr(workload, "loss_fn", default_loss)
        self._build_optimizer = getattr(workload, "build_optimizer", torch.optim.AdamW)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the workload's optimizer."""
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        optimizer: torch.optim.Optimizer = self._build_optimizer(trainable, lr=self.lr)
        return optimizer

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training data in batches of the size on trial."""
        return DataLoader(self._dataset, batch_size=self.batch_size, shuffle=True)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        """Return the loss."""
        self.step_counts[len(batch[0])] += 1
        loss: Tensor = self._loss_fn(self.model, batch)
        return loss


def tune(workload_name: str, seed: int) -> Tuned:
    """Return the tuner's result for a workload; all options except the epochs are defaults.

    Called in a process of its own. The CPU does not run out of memory, so the batch-size finder
    ends at its largest size, or at the size of the training set.
    """
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    sys.path.insert(0, str(DIRECTORY))
    seed_everything(seed)
    module = _Module(importlib.import_module(workload_name))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=1000,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        tuner = Tuner(trainer)
        tuner.scale_batch_size(module, mode="power")
        finder = tuner.lr_find(module)
    return Tuned(
        batch_size=module.batch_size,
        learning_rate=None if finder is None else finder.suggestion(),
        step_counts=dict(module.step_counts),
    )
