"""What decides which of the calls that end a step go through."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class UpdateControl(Protocol):
    """Says which calls go through."""

    @property
    def is_script_calling(self) -> bool:
        """Whether the script is, in the loop that is controlled, and not another thread."""

    @property
    def keeps_gradients(self) -> bool:
        """Whether gradients are there that must stay."""

    @property
    def is_frozen(self) -> bool:
        """Whether modules stay in evaluation mode."""

    @property
    def uses_scaler(self) -> bool:
        """Whether gradient scalers scale."""

    @property
    def uses_autocast(self) -> bool:
        """Whether autocast contexts cast."""

    def begin_update(self) -> bool:
        """Return whether the step that is asked for begins or has begun, before it is taken."""

    def pass_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take note of a step that does not go through."""

    def end_update(self) -> None:
        """Take note that the scaler took the step, or skipped it."""

    def take_scaler_update(self) -> bool:
        """Return whether the scaler's update goes through: once, after the step."""

    def scaled(self, scaler: torch.amp.GradScaler, loss: Tensor, scaled: Tensor) -> None:
        """Take note of a loss that was scaled."""

    def casting(self, dtype: torch.dtype) -> None:
        """Take note of what operations are cast to."""
