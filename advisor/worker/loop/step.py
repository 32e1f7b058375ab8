"""The training step: the one that is traced, run, timed, trained with and verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advisor.worker.loop.observers import Phase, StepObserver, announce
from advisor.worker.loop.recipe import Recipe
from advisor.worker.user.batch_tree import move

_AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

_NEEDS_GRADIENTS = "does not require grad and does not have a grad_fn"
"""What PyTorch says where a loss differentiates, and gradients are off."""

Guard = Callable[[str, Callable[[], object]], object]
"""Calls a function, and explains what it raises as a fault of the part of the user's code that
is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a training is made of.

    Attributes:
        model: The model, on the device.
        optimizer: Its optimizer.
        loss: Returns the loss of the model on a batch that is on the device: a scalar.
        guard: Wraps the backward pass ("loss_fn") and the update ("build_optimizer").
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[[nn.Module, Any], Tensor]
    guard: Guard


class TrainingStep:
    """Takes optimizer steps with a model, and evaluates it."""

    def __init__(
        self, parts: Parts, device: torch.device, recipe: Recipe, *, precision: str
    ) -> None:
        """Take a model and its optimizer over.

        Args:
            parts: What is trained.
            device: Where batches are moved to.
            recipe: How it is trained.
            precision: "fp32", "bf16" or "fp16": the recipe's, or else the task's.
        """
        # Micro-batches of a mean are averaged for the gradient; those of a sum are added, and
        # only what is told of the loss is of one sample.
        count = recipe.accumulation_steps
        self._gradient_divisor = 1 if recipe.is_loss_sum else count
        self._told_divisor = recipe.effective_batch_size if recipe.is_loss_sum else 1
        self._accumulation_steps = count
        self._parts = parts
        self._device = device
        self._dtype = _AUTOCAST_DTYPES.get(precision)
        self._evaluates_with_gradients = False
        is_scaled = self._dtype is torch.float16 and recipe.use_grad_scaler
        self.scaler = torch.amp.GradScaler(device.type) if is_scaled else None

    @property
    def gradient_scale(self) -> float | None:
        """What gradients are of those of the mean over a step's samples; None where they are it."""
        if self.scaler is None:
            return self._told_divisor if self._told_divisor > 1 else None
        return self.scaler.get_scale() * self._told_divisor

    def run(self, batches: Iterator[Any], observers: Sequence[StepObserver]) -> Tensor:
        """Take one optimizer step, and return its loss, detached.

        Args:
            batches: Where the next micro-batches come from, on the host.
            observers: Told of each phase.
        """
        losses = self.accumulate(batches, observers)
        announce(observers, Phase.OPTIMIZER)
        self._parts.guard("build_optimizer", self._update)
        announce(observers, Phase.LOADING)
        return torch.stack(losses).sum()

    def accumulate(self, batches: Iterator[Any], observers: Sequence[StepObserver]) -> list[Tensor]:
        """Leave a step's gradients in the parameters, and return its micro-batches' losses.

        Not their sum: while the gradients are there, another block may be one too many.
        """
        self._parts.model.train()
        announce(observers, Phase.ZERO_GRAD)
        self._parts.optimizer.zero_grad(set_to_none=True)
        # One loss after another, so that the graph of the last is gone before the next.
        return [self._add_gradients(batches, observers) for _ in range(self._accumulation_steps)]

    def _add_gradients(self, batches: Iterator[Any], observers: Sequence[StepObserver]) -> Tensor:
        announce(observers, Phase.LOADING)
        batch = next(batches)
        announce(observers, Phase.FORWARD)
        batch = self._receive(batch, observers)
        loss = self._loss(batch) / self._gradient_divisor
        announce(observers, Phase.BACKWARD)
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        self._parts.guard("loss_fn", scaled.backward)
        told = loss.detach()
        return told if self._told_divisor == 1 else told / self._told_divisor

    def _receive(self, batch: Any, observers: Sequence[StepObserver]) -> Any:  # noqa: ANN401
        moved = move(batch, self._device)
        for observer in observers:
            observer.received(moved)
        return moved

    def _loss(self, batch: Any) -> Tensor:  # noqa: ANN401 - the user's batch
        if self._dtype is None:
            return self._parts.loss(self._parts.model, batch)
        with torch.autocast(self._device.type, dtype=self._dtype):
            return self._parts.loss(self._parts.model, batch)

    def _update(self) -> None:
        if self.scaler is None:
            self._parts.optimizer.step()
        else:
            self.scaler.step(self._parts.optimizer)
            self.scaler.update()

    def evaluate(self, batch: Any, observers: Sequence[StepObserver] = ()) -> Tensor:  # noqa: ANN401
        """Return the loss on one batch from the host, without gradients where it needs none."""
        self._parts.model.eval()
        announce(observers, Phase.FORWARD)
        loss = self._evaluated(self._receive(batch, observers))
        announce(observers, Phase.LOADING)
        return loss

    def _evaluated(self, batch: Any) -> Tensor:  # noqa: ANN401 - the user's batch
        if not self._evaluates_with_gradients:
            try:
                with torch.no_grad():
                    return self._loss(batch).detach()
            except Exception as error:
                # A penalty on gradients, or a differential equation, is a loss made of gradients.
                if _NEEDS_GRADIENTS not in str(error):
                    raise
                self._evaluates_with_gradients = True
        return self._loss(batch).detach()
