"""Sets up a model for training on the job's device, and serves it data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from advisor.worker.loop.allocation_tracker import Accountant
from advisor.worker.loop.compiling import without_compiling
from advisor.worker.loop.step import TrainingStep
from advisor.worker.loop.task import ANY_LEARNING_RATE, Task
from advisor.worker.loop.torch_device import Placement


class Workshop:
    """A task and the device that it is measured on."""

    def __init__(self, task: Task, placement: Placement) -> None:
        self.task = task
        self.placement = placement

    @property
    def device(self) -> torch.device:
        """Where tensors go."""
        return self.placement.torch_device

    def build_model(self, replicate: int = 0) -> nn.Module:
        """Return a model with fresh weights on the device."""
        model = self.task.build_model(replicate)
        moved: nn.Module = self.task.hooks.guard("build_model", model.to, self.device)
        return moved

    def build_step(
        self,
        learning_rate: float = ANY_LEARNING_RATE,
        *,
        can_skip_steps: bool = True,
        replicate: int = 0,
    ) -> TrainingStep:
        """Return a training step of a fresh model and its optimizer."""
        model = self.build_model(replicate)
        optimizer = self.task.build_optimizer(model, learning_rate)
        return TrainingStep(self.task, model, optimizer, self.device, can_skip_steps=can_skip_steps)

    def account(self, step: TrainingStep, *, is_needed: bool = False) -> Accountant | None:
        """Return the account of a step, where there is a limit that it must enforce.

        Args:
            step: The step.
            is_needed: Whether to open one even without a limit; never on CUDA, whose
                allocator keeps its own.
        """
        limit_bytes = self.placement.accounted_limit_bytes
        if self.device.type == "cuda" or (limit_bytes is None and not is_needed):
            return None
        return Accountant(step.model, step.optimizer, self.device, limit_bytes)


@contextmanager
def entered(accountant: Accountant | None) -> Iterator[Accountant | None]:
    """Let an accountant count, if there is one; torch.compile's code would hide from it."""
    if accountant is None:
        yield None
        return
    with without_compiling(), accountant:
        yield accountant
