"""Lightning modules and data modules, as users write them."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

SAMPLES, HELD_OUT, FEATURES, CLASSES = 160, 48, 6, 3


def dataset(size: int, seed: int) -> TensorDataset:
    x = torch.randn(size, FEATURES, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(x, (x.sum(1) > 0).long() + (x[:, 0] > 1).long())


class Data(pl.LightningDataModule):  # type: ignore[misc]
    """Made only in ``setup``, as Lightning's documentation has it."""

    def __init__(self, batch_size: int = 8) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        self.training, self.held_out = dataset(SAMPLES, 0), dataset(HELD_OUT, 1)

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.training, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.held_out, batch_size=2 * self.batch_size)


class Classifier(pl.LightningModule):  # type: ignore[misc]
    """Logs, asks its trainer for the length of the training, and has a hook that seeds dropout."""

    def __init__(self, lr: float = 0.05, dropout: float = 0.2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, CLASSES)
        )
        self.told: list[Tensor] = []
        self.rates: list[float] = []

    def forward(self, x: Tensor) -> Any:
        return self.layers(x)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(self.global_step)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        loss = nn.functional.cross_entropy(self(x), y)
        self.log("train_loss", loss, prog_bar=True)
        self.told.append(loss.detach())
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        out = self(x)
        self.log("val_loss", nn.functional.cross_entropy(out, y))
        self.log("val_accuracy", (out.argmax(1) == y).float().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams["lr"])
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.hparams["lr"],
            total_steps=int(self.trainer.estimated_stepping_batches),
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class Regression(pl.LightningModule):  # type: ignore[misc]
    """Momentum, a schedule by the epoch, a dictionary for an output, and a skipped batch maybe."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, 1))
        self.told: list[Tensor] = []

    def training_step(self, batch: Any) -> Any:
        x, _ = batch
        loss = nn.functional.mse_loss(self.layers(x), 5 * x.pow(2).sum(1, keepdim=True))
        self.told.append(loss.detach())
        return {"loss": loss, "size": len(x)}

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.02, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]


class Adversaries(pl.LightningModule):  # type: ignore[misc]
    """Two networks that take turns, each with an optimizer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, FEATURES))
        self.critic = nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, 1))
        self.told: list[Tensor] = []

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, _ = batch
        first, second = self.optimizers()
        made = self.generator(x[:, :2])
        self.toggle_optimizer(first)
        loss = -self.critic(made).mean()
        self.told.append(loss.detach())
        first.zero_grad()
        self.manual_backward(loss)
        first.step()
        self.untoggle_optimizer(first)
        loss = (self.critic(made.detach()) - self.critic(x)).mean()
        second.zero_grad()
        self.manual_backward(loss)
        second.step()

    def configure_optimizers(self) -> Any:
        return [
            torch.optim.Adam(self.generator.parameters(), lr=1e-2),
            torch.optim.SGD(self.critic.parameters(), lr=5e-2, momentum=0.5),
        ]


def trainer(**settings: Any) -> pl.Trainer:
    """Return a trainer that writes nothing."""
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **settings,
    )
