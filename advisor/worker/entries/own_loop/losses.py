"""Reads losses off the backward passes that a script makes."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from torch import Tensor

from advisor.worker.entries.own_loop.learning import DrivenLoop


class LossReader:
    """Tells what a loss was before it was scaled, and what it was divided by.

    Attributes:
        divisor: What the script divides the loss of a batch by before its backward pass: 1, or the
            number of batches that it accumulates.
    """

    def __init__(self) -> None:
        self.divisor = 1
        self._scaled: tuple[weakref.ref[Tensor], Tensor] | None = None

    def note_scaled(self, loss: Tensor, scaled: Tensor) -> None:
        """Take note of what a gradient scaler made of a loss."""
        self._scaled = (weakref.ref(scaled), loss.detach())

    def read(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the loss of a backward pass; a copy, since scripts may go on with theirs."""
        if self._scaled is not None and self._is_scaled(tensors[0]):
            return self._scaled[1].clone()
        return tensors[0].detach().sum()

    def note_divisor(self, loss: Tensor, loop: DrivenLoop | None) -> None:
        """Take note of whether a loop that accumulates divides losses by how many it does."""
        count = loop.traits.accumulation_steps if loop else 1
        node = loss.grad_fn
        if count == 1 or node is None:
            return
        if self._is_scaled(loss):
            node = node.next_functions[0][0]
        divisor = getattr(node, "_saved_other", None)
        is_divided = node is not None and node.name() == "DivBackward0"
        is_by_count = isinstance(divisor, Tensor) and float(divisor) == count
        self.divisor = count if is_divided and is_by_count else 1

    def _is_scaled(self, tensor: Tensor) -> bool:
        return self._scaled is not None and self._scaled[0]() is tensor
