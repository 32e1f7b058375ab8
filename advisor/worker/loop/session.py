"""Builds trainings on the job's device, and counts what they allocate."""

from __future__ import annotations

import torch

from advisor.worker.loop.allocation_tracker import AllocationTracker
from advisor.worker.loop.protocol import FOR_REAL, BuildContext, Task, Training
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.loop.torch_device import TorchDevice


class Session:
    """A task and the device that it is measured on."""

    def __init__(self, task: Task, device: TorchDevice) -> None:
        self.task = task
        self.device = device

    @property
    def torch_device(self) -> torch.device:
        """Where tensors go."""
        return self.device.torch_device

    def build(self, recipe: Recipe, context: BuildContext = FOR_REAL) -> Training:
        """Return a training with fresh weights on the device."""
        return self.task.build(recipe, self.torch_device, SINGLE_PROCESS, context)

    def track(self, training: Training, *, is_needed: bool = False) -> AllocationTracker | None:
        """Return a tracker of a training, where there is a limit that it must enforce.

        Args:
            training: The training.
            is_needed: Whether to make one even without a limit; never on CUDA, whose allocator
                tracks itself.
        """
        limit_bytes = self.device.tracked_limit_bytes
        if self.torch_device.type == "cuda" or (limit_bytes is None and not is_needed):
            return None
        return AllocationTracker(training.model, training.optimizer, self.torch_device, limit_bytes)
