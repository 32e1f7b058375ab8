"""Builds a training of fake tensors, with what is to be changed about it to save memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from bsadvise.model.commands import Lever
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from advisor.worker.loop.protocol import BuildContext
from advisor.worker.tracing.fake_tensors import make_fake
from advisor.worker.tracing.memory_savings import change_model, change_optimizer
from advisor.worker.user.hooks import UserCodeFailed


class FakeTensorContext(BuildContext):
    """Makes models and optimizers whose tensors are shapes alone."""

    def __init__(
        self, mode: FakeTensorMode, device: torch.device, *, saving: Lever | None, is_cuda: bool
    ) -> None:
        """Choose what to make.

        Args:
            mode: Makes the fake tensors.
            device: Where they pretend to be.
            saving: The memory saving to make; None to change nothing.
            is_cuda: Whether to update as on CUDA, even where the tensors pretend to be on a CPU.
        """
        self._mode = mode
        self._device = device
        self._saving = saving
        self._is_cuda = is_cuda

    def build_model(
        self,
        build: Callable[[], nn.Module],
        move: Callable[[nn.Module], nn.Module],  # noqa: ARG002 - it would leave them where they are
    ) -> nn.Module:
        """Return the model with fake tensors in place of its own."""
        try:
            with self._mode:
                model = build()
        except UserCodeFailed:
            # Building may look at values, as reading weights from a file does: build it for
            # real, on the host, and let its tensors go.
            model = build()
        make_fake(model, self._device, self._mode)
        change_model(self._saving, model)
        return model

    def build_optimizer(self, build: Callable[[], torch.optim.Optimizer]) -> torch.optim.Optimizer:
        """Return the optimizer of the fake parameters."""
        with self._mode:
            optimizer = change_optimizer(self._saving, build())
            if self._is_cuda:
                _update_as_on_cuda(optimizer)
        return optimizer


def _update_as_on_cuda(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer update all parameters at once, as it would choose to on CUDA.

    It would not choose it for fake tensors, and it takes more memory.
    """
    for group in (optimizer.defaults, *optimizer.param_groups):
        if "foreach" in group and group["foreach"] is None and not group.get("fused"):
            group["foreach"] = True
