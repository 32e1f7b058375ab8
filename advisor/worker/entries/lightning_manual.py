"""Modules that optimize by themselves: run for memory and speed, as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from advisor.worker.entries.lightning_hooks import LightningHooks


class SeveralOptimizers(torch.optim.Optimizer):
    """The parameter groups and the state of several optimizers, which are stepped elsewhere."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Take the optimizers over: they keep their state here from now on."""
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        super().__init__([{"params": group["params"]} for group in groups], {})
        self.optimizers = list(optimizers)
        self.param_groups = groups
        self._share()

    def _share(self) -> None:
        groups = iter(self.param_groups)
        for optimizer in self.optimizers:
            optimizer.param_groups = [next(groups) for _ in optimizer.param_groups]
            optimizer.state = self.state

    def load_state_dict(self, state_dict: Any) -> None:  # noqa: ANN401 - as torch has it
        """Load the state of all."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Any = None) -> None:  # type: ignore[override] # noqa: ANN401
        """Leave the update to the module."""

    @contextmanager
    def without_updates(self) -> Iterator[None]:
        """Let none of the optimizers update anything."""
        before = [vars(optimizer).get("step") for optimizer in self.optimizers]
        for optimizer in self.optimizers:
            vars(optimizer)["step"] = lambda *_, **__: None
        try:
            yield
        finally:
            for optimizer, step in zip(self.optimizers, before, strict=True):
                del vars(optimizer)["step"]
                if step is not None:  # A scheduler has put its own there.
                    vars(optimizer)["step"] = step


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
