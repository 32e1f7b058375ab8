"""The calls of gradient scalers: those of the step that is asked for go through."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from advisor.worker.entries.own_loop.update_control import UpdateControl
from advisor.worker.scripts.patching import replaced

Scaler = torch.amp.GradScaler


class ScalerCalls:
    """Makes what stands in place of a gradient scaler's methods."""

    def __init__(self, control: UpdateControl) -> None:
        self._control = control

    def patches(self) -> Iterator[AbstractContextManager[None]]:
        """Yield the contexts in which they do."""
        yield replaced(Scaler, "scale", self._scale)
        yield replaced(Scaler, "unscale_", self._unscale)
        yield replaced(Scaler, "step", self._step)
        yield replaced(Scaler, "update", self._update)

    def _passes(self, scaler: Scaler) -> bool:
        """Return whether a call is none that the control decides on."""
        return not (self._control.is_script_calling and scaler.is_enabled())

    def _scale(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def scale(scaler: Scaler, outputs: Any) -> Any:
            if self._passes(scaler):
                return original(scaler, outputs)
            if not self._control.uses_scaler:
                return outputs
            scaled = original(scaler, outputs)
            if isinstance(outputs, Tensor):
                self._control.scaled(scaler, outputs, scaled)
            return scaled

        return scale

    def _unscale(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def unscale(scaler: Scaler, optimizer: torch.optim.Optimizer) -> None:
            control = self._control
            if self._passes(scaler) or (control.begin_update() and control.uses_scaler):
                original(scaler, optimizer)

        return unscale

    def _step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def step(
            scaler: Scaler, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any
        ) -> Any:
            control = self._control
            if self._passes(scaler):
                return original(scaler, optimizer, *args, **kwargs)
            if not control.begin_update():
                return control.pass_step(optimizer)
            if not control.uses_scaler:
                return optimizer.step(*args, **kwargs)
            result = original(scaler, optimizer, *args, **kwargs)
            control.end_update()
            return result

        return step

    def _update(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def update(scaler: Scaler, *args: Any, **kwargs: Any) -> None:
            if self._passes(scaler) or self._control.take_scaler_update():
                original(scaler, *args, **kwargs)

        return update
