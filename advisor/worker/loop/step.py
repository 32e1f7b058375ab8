"""The training step: the one that is traced, run, timed, trained with and verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advisor.worker.loop.observers import Phase, StepObserver, announce
from advisor.worker.user.batch_tree import move

_AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

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
        self, parts: Parts, device: torch.device, *, precision: str, use_grad_scaler: bool = True
    ) -> None:
        """Take a model and its optimizer over.

        Args:
            parts: What is trained.
            device: Where batches are moved to.
            precision: "fp32", "bf16" or "fp16".
            use_grad_scaler: Whether float16 losses are scaled.
        """
        self._parts = parts
        self._device = device
        self._dtype = _AUTOCAST_DTYPES.get(precision)
        is_scaled = self._dtype is torch.float16 and use_grad_scaler
        self.scaler = torch.amp.GradScaler(device.type) if is_scaled else None

    def run(
        self, batches: Iterator[Any], accumulation_steps: int, observers: Sequence[StepObserver]
    ) -> Tensor:
        """Take one optimizer step, and return its loss, detached.

        Args:
            batches: Where the next micro-batches come from, on the host.
            accumulation_steps: How many of them.
            observers: Told of each phase.
        """
        losses = self.accumulate(batches, accumulation_steps, observers)
        announce(observers, Phase.OPTIMIZER)
        self._parts.guard("build_optimizer", self._update)
        announce(observers, Phase.LOADING)
        return torch.stack(losses).sum()

    def accumulate(
        self, batches: Iterator[Any], accumulation_steps: int, observers: Sequence[StepObserver]
    ) -> list[Tensor]:
        """Leave a step's gradients in the parameters, and return its micro-batches' losses.

        Not their sum: while the gradients are there, another block may be one too many.
        """
        self._parts.model.train()
        announce(observers, Phase.ZERO_GRAD)
        self._parts.optimizer.zero_grad(set_to_none=True)
        # One loss after another, so that the graph of the last is gone before the next.
        return [
            self._add_gradients(batches, accumulation_steps, observers)
            for _ in range(accumulation_steps)
        ]

    def _add_gradients(
        self, batches: Iterator[Any], accumulation_steps: int, observers: Sequence[StepObserver]
    ) -> Tensor:
        announce(observers, Phase.LOADING)
        batch = next(batches)
        announce(observers, Phase.FORWARD)
        batch = self._receive(batch, observers)
        loss = self._loss(batch) / accumulation_steps
        announce(observers, Phase.BACKWARD)
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        self._parts.guard("loss_fn", scaled.backward)
        return loss.detach()

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
        """Return the loss on one batch from the host, without gradients."""
        self._parts.model.eval()
        announce(observers, Phase.FORWARD)
        with torch.no_grad():
            loss = self._loss(self._receive(batch, observers)).detach()
        announce(observers, Phase.LOADING)
        return loss
