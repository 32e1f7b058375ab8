"""Modules that optimize by themselves: run for memory and speed, as they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from advisor.worker.entries.lightning_hooks import LightningHooks
from advisor.worker.loop.several_optimizers import SeveralOptimizers


class ManualHooks(LightningHooks):
    """A step in which ``training_step`` zeroes gradients, goes backward and updates."""

    zeroes_after_forward = False

    def __init__(self, optimizer: SeveralOptimizers, *args: Any) -> None:  # noqa: ANN401
        """Take note of what is trained.

        Args:
            optimizer: The module's optimizers.
            args: As for ``LightningHooks``.
        """
        super().__init__(*args)
        self._optimizer = optimizer
        self.changes_gradients = False

    def loss(self, module: Any, batch: Any) -> Tensor:  # noqa: ANN401 - the user's module, batch
        """Return the first loss that the module goes backward from."""
        self._trainer.strategy.losses.clear()
        if module.training:
            return super().loss(module, batch)
        with self._optimizer.without_updates():
            return super().loss(module, batch)

    def _checked(self, output: Any) -> Any:  # noqa: ANN401 - what training_step returns
        found = [*self._trainer.strategy.losses, output]
        losses = [loss for loss in found if isinstance(loss, Tensor) and loss.numel() == 1]
        return losses[0].detach() if losses else torch.zeros(())

    def zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the gradients to the module."""

    def before_update(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the gradients to the module."""
