"""Stands in for the Lightning trainer that a module asks about its training, and trains nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader


class Silent:
    """Takes any call and any attribute, as a logger that writes nowhere."""

    def __getattr__(self, name: str) -> Silent:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: object, **__: object) -> Silent:
        """Return itself."""
        return self


class InertStrategy:
    """What modules ask of a trainer's strategy.

    Attributes:
        losses: What ``manual_backward`` went backward from.
        root_device: Where the module is.
    """

    def __init__(self, of: Any) -> None:  # noqa: ANN401 - a strategy of Lightning's
        self._of = of
        self._lightning_optimizers: list[torch.optim.Optimizer] = []
        self.losses: list[Tensor] = []
        self.root_device = torch.device("cpu")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the user's has
        if name.startswith("__") or name == "_of":
            raise AttributeError(name)
        return getattr(self._of, name)

    def backward(self, loss: Tensor, _: object, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Go backward as ``manual_backward`` says; not in evaluation."""
        self.losses.append(loss.detach())
        if loss.requires_grad:
            loss.backward(*args, **kwargs)  # type: ignore[no-untyped-call]

    def barrier(self, *_: object, **__: object) -> None:
        """Wait for no other process."""

    def broadcast(self, value: Any, *_: object, **__: object) -> Any:  # noqa: ANN401
        """Return what one process sends to all."""
        return value

    reduce = all_gather = broadcast


class InertTrainer:
    """Answers as the user's trainer does in the middle of a training, on one device.

    What is not answered here is asked of the user's own trainer.

    Attributes:
        of: The user's own trainer.
        callback_metrics: What ``self.log`` was last given, by name.
        current_epoch: Epochs whose samples have all been trained on.
        global_step: Optimizer steps taken.
    """

    world_size = num_devices = num_nodes = 1
    global_rank = local_rank = node_rank = 0
    is_global_zero = is_last_batch = True
    barebones = fast_dev_run = sanity_checking = testing = predicting = should_stop = False
    progress_bar_callback = checkpoint_callback = early_stopping_callback = log_dir = None

    def __init__(
        self,
        of: Any,  # noqa: ANN401 - a Lightning trainer
        *,
        datamodule: Any = None,  # noqa: ANN401 - a data module
        train_dataloader: DataLoader[Any] | None = None,
        val_dataloaders: Any = None,  # noqa: ANN401 - a loader
    ) -> None:
        self.of = of
        self.datamodule = datamodule
        self.train_dataloader = train_dataloader
        self.val_dataloaders = val_dataloaders
        self.strategy = InertStrategy(of.strategy)
        self.optimizers: list[torch.optim.Optimizer] = []
        self.lr_scheduler_configs: list[Any] = []
        self.callback_metrics: dict[str, Any] = {}
        self.logged_metrics = self.progress_bar_metrics = self.callback_metrics
        self.loggers: list[Any] = [Silent()] if of.loggers else []
        self.logger = self.loggers[0] if self.loggers else None
        self.accumulate_grad_batches = int(of.accumulate_grad_batches)
        self.current_epoch = self.global_step = 0
        self.training = self.validating = False
        self.lightning_module: nn.Module | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the user's has
        if name.startswith("__") or name == "of":
            raise AttributeError(name)
        return getattr(self.of, name)

    def attach(self, module: Any) -> None:  # noqa: ANN401 - a Lightning module
        """Become the trainer of a module, whose ``self.log`` then only takes note."""
        module.trainer = self
        self.lightning_module = self.model = module
        for part in module.modules():
            if hasattr(part, "log_dict"):
                part.log = self._log

    @staticmethod
    def detach(module: Any) -> None:  # noqa: ANN401 - a Lightning module
        """Leave a module without a trainer, as it was before ``fit``."""
        module.trainer = None
        for part in module.modules():
            vars(part).pop("log", None)

    def train_with(
        self, optimizers: Sequence[torch.optim.Optimizer], schedules: Sequence[Any] = ()
    ) -> None:
        """Answer with these where the module asks for its optimizers and schedulers."""
        self.optimizers = self.strategy._lightning_optimizers = list(optimizers)  # noqa: SLF001
        self.lr_scheduler_configs = [SimpleNamespace(scheduler=schedule) for schedule in schedules]

    def _log(self, name: str, value: Any, *_: object, **__: object) -> None:  # noqa: ANN401
        self.callback_metrics[name] = value.detach() if isinstance(value, Tensor) else value

    def save_checkpoint(self, *_: object, **__: object) -> None:
        """Save nothing."""

    def print(self, *_: object, **__: object) -> None:
        """Print nothing."""

    @property
    def max_epochs(self) -> int:
        """Epochs that are planned; -1 for no limit. Lightning's default where neither is named."""
        if self.of.max_epochs is not None:
            return int(self.of.max_epochs)
        return 1000 if self.of.max_steps == -1 else -1

    @property
    def num_training_batches(self) -> float:
        """Batches of an epoch in the user's own training; infinite for a stream."""
        try:
            count = math.inf if self.train_dataloader is None else len(self.train_dataloader)
        except TypeError:
            return math.inf
        return _limited(count, self.of.limit_train_batches)

    @property
    def steps_per_epoch(self) -> float:
        """Optimizer steps of an epoch in the user's own training."""
        return self._steps_of(self.num_training_batches)

    def _steps_of(self, batches: float) -> float:
        if math.isinf(batches):
            return batches
        return max(1, math.ceil(batches / int(self.of.accumulate_grad_batches)))

    @property
    def estimated_stepping_batches(self) -> float:
        """Optimizer steps of the user's own training; infinite where it has no end."""
        of_epochs = math.inf if self.max_epochs == -1 else self.steps_per_epoch * self.max_epochs
        steps = of_epochs if self.of.max_steps == -1 else min(of_epochs, self.of.max_steps)
        return steps if math.isinf(steps) else int(steps)


def _limited(count: float, limit: float | None) -> float:
    """Return the batches that ``limit_train_batches`` leaves: a number of them, or a share."""
    if limit is None:
        return count
    if isinstance(limit, int):
        return min(count, limit)
    return count if math.isinf(count) else int(count * limit)
