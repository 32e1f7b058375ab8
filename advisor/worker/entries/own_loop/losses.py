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
        self._is_divisor_known = False
        self._scaled: tuple[weakref.ref[Tensor], Tensor] | None = None

    def note_scaled(self, loss: Tensor, scaled: Tensor) -> None:
        """Take note of what a gradient scaler made of a loss."""
        self._scaled = (weakref.ref(scaled), loss.detach())

    def read(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the loss of a backward pass; a copy, since scripts may go on with theirs."""
        if self._scaled is not None and self._is_scaled(tensors[0]):
            return self._scaled[1].clone()
        return tensors[0].detach().sum()

    def note_divisor(self, loss: Tensor, loop: DrivenLoop) -> None:
        """Take note of whether a loop that accumulates divides losses by how many it does.

        Of the first loss alone: under a tracker of operations, it could not be told.
        """
        if self._is_divisor_known:
            return
        self._is_divisor_known = True
        count, node = loop.traits.accumulation_steps, loss.grad_fn
        if node is not None and self._is_scaled(loss):
            node = node.next_functions[0][0]
        if count == 1 or node is None or node.name() != "DivBackward0":
            return
        divisor = getattr(node, "_saved_other", None)
        if isinstance(divisor, Tensor) and float(divisor) == count:
            self.divisor = count

    def _is_scaled(self, tensor: Tensor) -> bool:
        return self._scaled is not None and self._scaled[0]() is tensor
