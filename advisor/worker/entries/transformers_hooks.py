"""A Transformers trainer's part in a training step: its own ``training_step``, but no update."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from advisor.worker.entries.assembly import loss_problem
from advisor.worker.loop.recipe import Recipe
from advisor.worker.loop.step import StepHooks
from advisor.worker.user.hooks import Hooks


class LossTakingAccelerator:
    """The trainer's accelerator, which keeps the loss in place of its backward pass."""

    def __init__(self, of: Any) -> None:  # noqa: ANN401 - accelerate's
        self._of = of
        self._loss: Any = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever accelerate's has
        if name.startswith("__") or name == "_of":
            raise AttributeError(name)
        return getattr(self._of, name)

    def backward(self, loss: Any, **_: object) -> None:  # noqa: ANN401 - whatever it is given
        """Keep what the gradients are to be of."""
        self._loss = loss

    def take_loss(self) -> Any:  # noqa: ANN401 - a tensor, or None
        """Return what was kept, and keep it no longer: its graph is to go with it."""
        loss, self._loss = self._loss, None
        return loss


class TransformersHooks(StepHooks):
    """The hooks of one training.

    Attributes:
        trainer: A shallow copy of the user's trainer, with a model and an optimizer of its own.
    """

    is_loss_of_step = True

    def __init__(
        self,
        trainer: Any,  # noqa: ANN401 - the copy
        recipe: Recipe,
        device: torch.device,
        hooks: Hooks,
        *,
        is_share: bool,
    ) -> None:
        """Take a copy of the trainer over.

        Args:
            trainer: The copy.
            recipe: How it is trained.
            device: Where its batches are moved to.
            hooks: Calls the user's code.
            is_share: Whether what the trainer takes for a share of the step's loss is one.
        """
        self.trainer = trainer
        self._device = device
        self._hooks = hooks
        self._accelerator = LossTakingAccelerator(trainer.accelerator)
        # The gradient of a sum is that of each micro-batch alone, not of a share of the step.
        self._taken_at_once = 1 if recipe.is_loss_sum else recipe.accumulation_steps
        self._divisor = 1 if is_share else self._taken_at_once
        self._item_count: Any = None
        self._most_norm = float(trainer.args.max_grad_norm or 0)
        self.changes_gradients = self._most_norm > 0
        trainer.accelerator = self._accelerator
        trainer.current_gradient_accumulation_steps = self._taken_at_once
        # Batches are on the device; a copy, since the loss takes labels out of them.
        trainer._prepare_input = copy.copy  # noqa: SLF001 - overriding is what it is for

    def begin(self, step: int) -> None:
        """Tell the trainer how many steps it has taken."""
        self.trainer.state.global_step = step

    def micro_batches(self, batches: Iterator[Any], count: int) -> Iterator[Any]:
        """Yield the micro-batches of a step, all of which are loaded to count what they hold."""
        for _ in range(count // self._taken_at_once):
            taken, self._item_count = self._hooks.call(
                "get_batch_samples",
                self.trainer.get_batch_samples,
                batches,
                self._taken_at_once,
                self._device,
            )
            yield from taken

    def loss(self, model: nn.Module, batch: Any) -> Tensor:  # noqa: ANN401 - the user's batch
        """Return the loss on a batch: in training the micro-batch's share of the step's loss."""
        if not model.training:
            return self._checked("compute_loss", self._evaluated(model, batch))
        step = self.trainer.training_step
        self._hooks.call("training_step", step, model, batch, self._item_count)
        loss = self._checked("training_step", self._accelerator.take_loss())
        return loss if self._divisor == 1 else loss / self._divisor

    def _evaluated(self, model: nn.Module, batch: Any) -> Any:  # noqa: ANN401 - the user's batch
        count = self.trainer._get_num_items_in_batch([batch], self._device)  # noqa: SLF001
        return self._hooks.call(
            "compute_loss",
            self.trainer.compute_loss,
            model,
            copy.copy(batch),
            num_items_in_batch=count,
        )

    def _checked(self, name: str, loss: Any) -> Tensor:  # noqa: ANN401 - what the trainer gives
        problem = loss_problem(loss)
        if problem is None:
            checked: Tensor = loss
            return checked
        message, fix = problem
        if loss is None:
            message = f"{name} gives accelerator.backward no loss."
        function = getattr(type(self.trainer), name)
        raise self._hooks.reject(name, message, fix, function=function)

    def before_update(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Clip the gradients to the trainer's largest norm."""
        if self._most_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.trainer.model.parameters(), self._most_norm)

    def after_update(self) -> None:
        """Count the step."""
        self.trainer.state.global_step += 1
