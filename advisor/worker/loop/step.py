"""The training step: the one that is traced, run, timed, trained with and verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
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


def autocasting(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return the context in which a model runs in "fp32", "bf16" or "fp16" on a device."""
    dtype = _AUTOCAST_DTYPES.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


class StepHooks:
    """What a task does of a step in a way of its own. Left as they are, they are a plain loop's.

    Attributes:
        is_loss_of_step: Whether the loss of a micro-batch in training is its share of the step's
            loss, so that the losses are added as they are.
        zeroes_after_forward: Whether the gradients of the step before live through the forward
            pass of the first micro-batch.
        changes_gradients: Whether ``before_update`` reads or changes gradients, which are then
            unscaled first.
    """

    is_loss_of_step: bool = False
    zeroes_after_forward: bool = False
    changes_gradients: bool = False

    def begin(self, step: int) -> None:
        """Take note that steps are taken from this one on, which counts from 0."""

    def micro_batches(self, batches: Iterator[Any], count: int) -> Iterator[Any]:  # noqa: ARG002
        """Return the next ``count`` micro-batches, on the host."""
        return batches

    def receive(self, batch: Any, device: torch.device) -> Any:  # noqa: ANN401 - the user's batch
        """Return a batch on the device."""
        return move(batch, device)

    def zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Let go of the gradients of the step before."""
        optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a micro-batch's loss, scaled where there is a gradient scaler."""
        torch.autograd.backward(loss)

    def before_update(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradients of a step, which are complete."""

    def after_update(self) -> None:
        """Take note that the optimizer has updated the parameters."""


PLAIN = StepHooks()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartNames:
    """What the user's code calls the parts of a training, as faults name them.

    Attributes:
        loss: What computes the loss.
        optimizer: What makes the optimizer.
    """

    loss: str = "loss_fn"
    optimizer: str = "build_optimizer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a training is made of.

    Attributes:
        model: The model, on the device.
        optimizer: Its optimizer.
        loss: Returns the loss of the model on a batch that is on the device: a scalar.
        guard: Wraps the backward pass and the update.
        names: The names under which it does.
        hooks: What is done in a way of the task's own.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[[nn.Module, Any], Tensor]
    guard: Guard
    names: PartNames = PartNames()
    hooks: StepHooks = PLAIN


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
        is_added = recipe.is_loss_sum or parts.hooks.is_loss_of_step
        self._gradient_divisor = 1 if is_added else count
        self._told_divisor = recipe.effective_batch_size if recipe.is_loss_sum else 1
        self._accumulation_steps = count
        self._parts = parts
        self._device = device
        self._precision = precision
        self._evaluates_with_gradients = False
        is_scaled = precision == "fp16" and recipe.use_grad_scaler
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
        self._parts.guard(self._parts.names.optimizer, self._update)
        announce(observers, Phase.LOADING)
        return torch.stack(losses).sum()

    def accumulate(self, batches: Iterator[Any], observers: Sequence[StepObserver]) -> list[Tensor]:
        """Leave a step's gradients in the parameters, and return its micro-batches' losses.

        Not their sum: while the gradients are there, another block may be one too many.
        """
        count, hooks = self._accumulation_steps, self._parts.hooks
        self._parts.model.train()
        announce(observers, Phase.ZERO_GRAD)
        if not hooks.zeroes_after_forward:
            hooks.zero_grad(self._parts.optimizer)
        batches = hooks.micro_batches(batches, count)
        # One loss after another, so that the graph of the last is gone before the next.
        return [self._add_gradients(batches, observers, is_first=i == 0) for i in range(count)]

    def _add_gradients(
        self, batches: Iterator[Any], observers: Sequence[StepObserver], *, is_first: bool
    ) -> Tensor:
        hooks = self._parts.hooks
        announce(observers, Phase.LOADING)
        batch = next(batches)
        announce(observers, Phase.FORWARD)
        batch = self._receive(batch, observers)
        loss = self._loss(batch) / self._gradient_divisor
        if is_first and hooks.zeroes_after_forward:
            hooks.zero_grad(self._parts.optimizer)
        announce(observers, Phase.BACKWARD)
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        self._parts.guard(self._parts.names.loss, lambda: hooks.backward(scaled))
        told = loss.detach()
        return told if self._told_divisor == 1 else told / self._told_divisor

    def _receive(self, batch: Any, observers: Sequence[StepObserver]) -> Any:  # noqa: ANN401
        moved = self._parts.hooks.receive(batch, self._device)
        for observer in observers:
            observer.received(moved)
        return moved

    def _loss(self, batch: Any) -> Tensor:  # noqa: ANN401 - the user's batch
        with autocasting(self._device, self._precision):
            return self._parts.loss(self._parts.model, batch)

    def _update(self) -> None:
        optimizer, hooks = self._parts.optimizer, self._parts.hooks
        if self.scaler is not None and hooks.changes_gradients:
            self.scaler.unscale_(optimizer)
        hooks.before_update(optimizer)
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()
        hooks.after_update()

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
