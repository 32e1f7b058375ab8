"""Changes to a training that would leave room for a larger micro-batch, made for a trace."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from bsadvise.model.commands import Lever
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_LEAST_8_BIT_ELEMENTS = 4096
_VALUES_A_SCALE = 256
_OF_REAL_PARAMETERS = (Lever.EIGHT_BIT_OPTIMIZER, Lever.FUSED_OPTIMIZER)


class NotApplicable(Exception):
    """A memory saving cannot be made of this training."""


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the layers that stand in a row and are built alike, as a transformer's blocks.

    The outermost ones, of two modules or more each: there is nothing to recompute in a layer
    whose only activation is its input.
    """
    return list(_blocks_in(model))


def _blocks_in(module: nn.Module) -> Iterator[nn.Module]:
    children = list(module.children())
    kinds = [type(child) for child in children]
    for child in children:
        is_row = isinstance(module, nn.Sequential | nn.ModuleList)
        if is_row and kinds.count(type(child)) > 1 and len(list(child.children())) > 1:
            yield child
        else:
            yield from _blocks_in(child)


def change_model(saving: Lever | None, model: nn.Module) -> None:
    """Make of a model what a memory saving makes of it, in place."""
    if saving is not Lever.CHECKPOINTING:
        return
    for block in repeated_blocks(model):
        # For a trace alone: what is drawn at random need not be drawn again alike.
        again: Any = partial(
            checkpoint,
            block.forward,
            use_reentrant=False,
            preserve_rng_state=False,
            determinism_check="none",
        )
        block.forward = again


def change_optimizer(
    saving: Lever | None, optimizer: torch.optim.Optimizer
) -> torch.optim.Optimizer:
    """Return what a memory saving makes of an optimizer.

    Raises:
        NotApplicable: Its parameters are complex, which neither saving's kernels know.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if saving in _OF_REAL_PARAMETERS and any(p.is_complex() for p in parameters):
        raise NotApplicable("the model has complex parameters")
    if saving is Lever.SGD:
        return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)
    if saving is Lever.EIGHT_BIT_OPTIMIZER:
        return _EightBitAdam(parameters, {})
    if saving is Lever.FUSED_OPTIMIZER:
        for group in (optimizer.defaults, *optimizer.param_groups):
            group.update(fused=True, foreach=False)
    return optimizer


class _EightBitAdam(torch.optim.Optimizer):
    """The memory of bitsandbytes' 8-bit Adam, without its mathematics.

    Small parameters keep state of four bytes a value; its kernels need no temporaries.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override] # noqa: ANN401, ARG002
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not self.state[parameter]:
                    self.state[parameter] = dict(enumerate(_states(parameter)))


def _states(parameter: Tensor) -> Iterator[Tensor]:
    count = parameter.numel()
    is_small = count < _LEAST_8_BIT_ELEMENTS
    for _ in range(2):
        yield torch.zeros_like(parameter, dtype=torch.float32 if is_small else torch.uint8)
        if not is_small:
            scales = -(-count // _VALUES_A_SCALE)
            yield torch.zeros(scales, dtype=torch.float32, device=parameter.device)
