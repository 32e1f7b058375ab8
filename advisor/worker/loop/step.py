"""The training step: the one that is traced, run, timed, trained with and verified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Any

import torch
from torch import Tensor, nn

from advisor.worker.loop.task import Task
from advisor.worker.user.batch_tree import move

_AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Phase(Enum):
    """What a step is busy with."""

    LOADING = auto()
    """Between steps, and while a batch is fetched."""
    FORWARD = auto()
    """The batch's way to the device included."""
    BACKWARD = auto()
    OPTIMIZER = auto()


class StepObserver:
    """Looks on while steps are taken. Every method may be left as it is."""

    def entering(self, phase: Phase) -> None:
        """A phase begins."""

    def received(self, batch: Any) -> None:  # noqa: ANN401 - the user's batch
        """A batch is on the device."""


class TrainingStep:
    """Takes optimizer steps with a model, and evaluates it."""

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
        *,
        can_skip_steps: bool = True,
        precision: str | None = None,
    ) -> None:
        """Take a model and its optimizer over.

        Args:
            task: Where the loss comes from.
            model: The model, on the device.
            optimizer: Its optimizer.
            device: Where batches are moved to.
            can_skip_steps: Whether float16 gradients that overflow skip a step. They are looked
                at for that, which fake tensors do not allow.
            precision: In place of the file's.
        """
        self.task = task
        self.model = model
        self.optimizer = optimizer
        self.device = device
        self._dtype = _AUTOCAST_DTYPES.get(precision or task.file.precision)
        is_scaled = self._dtype is torch.float16 and can_skip_steps
        self.scaler = torch.amp.GradScaler(device.type) if is_scaled else None

    def run(
        self,
        batches: Iterator[Any],
        *,
        accumulation_steps: int = 1,
        observers: Sequence[StepObserver] = (),
    ) -> Tensor:
        """Take one optimizer step, and return its loss, detached.

        Args:
            batches: Where the next micro-batches come from, on the host.
            accumulation_steps: How many of them.
            observers: Who looks on.
        """
        losses = self.accumulate(batches, accumulation_steps, observers)
        _tell(observers, Phase.OPTIMIZER)
        self.task.hooks.guard("build_optimizer", self._update)
        _tell(observers, Phase.LOADING)
        return torch.stack(losses).sum()

    def accumulate(
        self,
        batches: Iterator[Any],
        accumulation_steps: int,
        observers: Sequence[StepObserver] = (),
    ) -> list[Tensor]:
        """Leave a step's gradients in the parameters, and return its micro-batches' losses.

        Not their sum: while the gradients are there, another block may be one too many.
        """
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        # One loss after another, so that the graph of the last is gone before the next.
        return [
            self._add_gradients(batches, accumulation_steps, observers)
            for _ in range(accumulation_steps)
        ]

    def _add_gradients(
        self, batches: Iterator[Any], accumulation_steps: int, observers: Sequence[StepObserver]
    ) -> Tensor:
        _tell(observers, Phase.LOADING)
        batch = next(batches)
        _tell(observers, Phase.FORWARD)
        batch = self._receive(batch, observers)
        loss = self._loss(batch) / accumulation_steps
        _tell(observers, Phase.BACKWARD)
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        self.task.hooks.guard("loss_fn", scaled.backward)
        return loss.detach()

    def _receive(self, batch: Any, observers: Sequence[StepObserver]) -> Any:  # noqa: ANN401
        moved = move(batch, self.device)
        for observer in observers:
            observer.received(moved)
        return moved

    def _loss(self, batch: Any) -> Tensor:  # noqa: ANN401 - the user's batch
        if self._dtype is None:
            return self.task.loss(self.model, batch)
        with torch.autocast(self.device.type, dtype=self._dtype):
            return self.task.loss(self.model, batch)

    def _update(self) -> None:
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def evaluate(self, batch: Any, observers: Sequence[StepObserver] = ()) -> Tensor:  # noqa: ANN401
        """Return the loss on one batch from the host, without gradients."""
        self.model.eval()
        _tell(observers, Phase.FORWARD)
        with torch.no_grad():
            loss = self._loss(self._receive(batch, observers)).detach()
        _tell(observers, Phase.LOADING)
        return loss


def _tell(observers: Sequence[StepObserver], phase: Phase) -> None:
    for observer in observers:
        observer.entering(phase)
