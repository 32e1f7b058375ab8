"""Collects gradient norms at two batch sizes while training goes on, for the noise scale.

    symbol  meaning
    g       gradient of one micro-batch of b samples
    G       accumulated gradient of a step of a·b samples
    v       Adam's running mean of g², with its bias removed: v / (1 − β₂ᵗ)

Both norms are taken before the optimizer uses the gradient, and cost no copy of it
(arXiv 1812.06162, appendix A). For Adam's kin g and G are first divided by √v + ε, since
that is the step which the noise disturbs. ‖G‖ undivided is kept too: it is what gets clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Self

import torch
from bsadvise.model.measurements import GradientNorms
from bsadvise.model.task import OptimizerFamily
from torch import Tensor

from advisor.domain.limits import NORM
from advisor.worker.loop.observers import Phase, StepObserver
from advisor.worker.loop.protocol import Training
from advisor.worker.user.optimizers import family_of
from advisor.worker.user.real_values import real_values

_MEMORY = 0.99
"""Of v, where the optimizer does not say: RMSprop's by default."""

_UNKNOWN_DIVISOR = torch.ones(())
"""For one of Adam's kin that keeps v in a way of its own, such as in 8 bits or one of a block: the
plain gradient is the nearest thing to measure."""


class NoiseMeter(StepObserver):
    """Measures ‖g‖² and ‖G‖² of each step while it is entered."""

    def __init__(
        self,
        training: Training,
        *,
        is_raw: bool = False,
    ) -> None:
        """Take note of what is to be measured.

        Args:
            training: Whose gradients; its recipe gives a and b.
            is_raw: Whether to measure gradients as they are, whatever the optimizer.
        """
        self._training = training
        self._micro_batch_size = training.recipe.micro_batch_size
        self._accumulation_steps = training.recipe.accumulation_steps
        self._is_adam = not is_raw and family_of(training.optimizer) is OptimizerFamily.ADAM
        self._sum_of_small: list[Tensor] = []
        self._small: list[float] = []
        self._big: list[float] = []
        self._raw: list[float] = []
        self._hooks = ExitStack()

    def __enter__(self) -> Self:
        for group in self._training.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.requires_grad:  # An optimizer may hold frozen ones too.
                    handle = parameter.register_hook(self._hook_of(parameter, group))
                    self._hooks.callback(handle.remove)
        return self

    def __exit__(self, *exc: object) -> None:
        self._hooks.close()

    def norms(self) -> GradientNorms | None:
        """Return what was measured; None when there was no step to measure."""
        if not self._big:
            return None
        return GradientNorms(
            small_batch_size=self._micro_batch_size,
            big_batch_size=self._micro_batch_size * self._accumulation_steps,
            small_squared_norms=tuple(self._small),
            big_squared_norms=tuple(self._big),
            raw_norms=tuple(self._raw),
        )

    def _hook_of(self, parameter: Tensor, group: dict[str, Any]) -> Callable[[Tensor], None]:
        def take(gradient: Tensor) -> None:
            # What one micro-batch adds to the sum, caught before it is added.
            squared = self._squared_norm(gradient, parameter, group)
            if squared is not None:
                self._sum_of_small.append(squared)

        return take

    def entering(self, phase: Phase) -> None:
        """At the end of a step's last backward pass, take its norms."""
        if phase is Phase.OPTIMIZER:
            self.take_norms()

    def take_norms(self) -> None:
        """Take the norms of the gradients that have been accumulated."""
        reached = [
            (parameter, group)
            for group in self._training.optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        self._take_raw_norm([parameter.grad for parameter, _ in reached])
        accumulated = [
            squared
            for parameter, group in reached
            if (squared := self._squared_norm(parameter.grad, parameter, group)) is not None
        ]
        if accumulated and self._sum_of_small:
            big = float(torch.stack(accumulated).sum())
            # Each micro-batch's loss was divided by a: its gradient is a times what was added.
            small = float(torch.stack(self._sum_of_small).sum()) * self._accumulation_steps
            if NORM.holds(big) and NORM.holds(small):
                self._big.append(big)
                self._small.append(small)
        self._sum_of_small.clear()

    def _take_raw_norm(self, gradients: Sequence[Tensor]) -> None:
        if gradients:
            squares = [_square(self._unscaled(gradient)) for gradient in gradients]
            norm = math.sqrt(float(torch.stack(squares).sum()))
            if NORM.holds(norm):
                self._raw.append(norm)

    def _squared_norm(
        self, gradient: Tensor, parameter: Tensor, group: dict[str, Any]
    ) -> Tensor | None:
        """Return ‖g‖² as the optimizer sees it; None before it has seen any gradient."""
        gradient = self._unscaled(gradient)
        if self._is_adam:
            # Of a complex parameter the optimizer keeps one v for each part, as real numbers.
            dense = real_values(gradient.to_dense())
            state = self._training.optimizer.state.get(parameter)
            divisor = _root_mean_square(state, group, dense.shape)
            if divisor is None:
                return None
            gradient = dense / divisor.to(gradient.device)
        return _square(gradient)

    def _unscaled(self, gradient: Tensor) -> Tensor:
        gradient = gradient.detach()
        scale = self._training.gradient_scale
        return gradient if scale is None else gradient / scale


def _square(gradient: Tensor) -> Tensor:
    values = real_values(gradient)
    # Of float64 as it is: a square may be beyond what float32 holds.
    wide = values if values.dtype is torch.float64 else values.float()
    flat = wide.flatten()
    square: Tensor = torch.dot(flat, flat)
    return square


def _root_mean_square(
    state: dict[str, Any] | None, group: dict[str, Any], shape: torch.Size
) -> Tensor | None:
    """Return √v + ε of one parameter; None before the optimizer's first step.

    Where gradients have only just begun, as for a rare word, v is next to nothing, and one such
    place would count for more than all others. The optimizer itself never divides by less than it
    would if the gradient had come out of nothing, so that v is taken to be at least that share of
    its mean.
    """
    if not state:
        return None
    if "exp_avg_sq" in state and "step" in state and "betas" in group:
        memory, name = group["betas"][1], "exp_avg_sq"
        correction = 1 - memory ** float(state["step"])
    elif "square_avg" in state:
        memory, name, correction = group.get("alpha", _MEMORY), "square_avg", 1.0
    else:
        return _UNKNOWN_DIVISOR
    mean_square = real_values(state[name]) / correction
    if mean_square.shape != shape:
        return _UNKNOWN_DIVISOR
    floored = torch.maximum(mean_square, (1 - memory) * mean_square.mean())
    return torch.add(floored.sqrt(), group.get("eps", 1e-8))
