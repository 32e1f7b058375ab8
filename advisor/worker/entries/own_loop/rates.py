"""Learning rates of an optimizer's groups: the script's own, and those that are tried."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class GroupRates:
    """Puts a rate in place of the script's own, and its own back: its schedule goes on unaware."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        """Take note of how the groups' rates compare.

        Those that they were made with, where a scheduler has kept them: a warm-up begins at 0.
        """
        self._optimizer = optimizer
        rates = [_number(group.get("initial_lr", group.get("lr"))) for group in self._groups]
        first = rates[0]
        self._ratios = [
            rate / first if rate is not None and first else 1.0 for rate in rates
        ]  # fmt: skip
        self._own: list[Any] | None = None

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self._optimizer.param_groups

    def impose(self, rate: float) -> None:
        """Set the first group's rate, and the others' in proportion."""
        if self._own is None:
            self._own = [_copied(group.get("lr")) for group in self._groups]
        for group, ratio in zip(self._groups, self._ratios, strict=False):
            _set(group, rate * ratio)

    def release(self) -> None:
        """Put the script's own rates back."""
        if self._own is not None:
            for group, rate in zip(self._groups, self._own, strict=False):
                _set(group, rate)
            self._own = None


def _number(rate: object) -> float | None:
    return float(rate) if isinstance(rate, Tensor | int | float) else None


def _copied(rate: object) -> object:
    return rate.detach().clone() if isinstance(rate, Tensor) else rate


def _set(group: dict[str, Any], rate: Any) -> None:
    present = group.get("lr")
    if isinstance(present, Tensor):
        present.copy_(torch.as_tensor(rate))  # In place: a compiled step holds the tensor.
    elif present is not None:
        group["lr"] = rate
