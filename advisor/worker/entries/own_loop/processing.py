"""What holds in the script's thread while it processes a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import nn

from advisor.worker.data.random_state import captured_random_state
from advisor.worker.loop.observers import StepObserver


class Processing:
    """Enters and leaves what holds for one batch after another.

    Attributes:
        modules: All that the script has made.
    """

    def __init__(self, *, keeps_graph: bool) -> None:
        """Enter nothing yet.

        Args:
            keeps_graph: Whether frozen operations are differentiable. It takes memory, but some
                losses are made of derivatives.
        """
        self.modules: list[nn.Module] = []
        self._keeps_graph = keeps_graph
        self._thaw: Callable[[], None] | None = None
        self._restore_random: Callable[[], None] | None = None
        self._contexts = ExitStack()

    @property
    def is_frozen(self) -> bool:
        """Whether nothing is kept of what the script does."""
        return self._thaw is not None

    def observe(self, observers: Sequence[StepObserver]) -> None:
        """Let observers see the operations, until the batch is left."""
        for observer in observers:
            self._contexts.enter_context(observer.around_operations())

    def freeze(self) -> None:
        """Let nothing be kept of what the script does, until the batch is left.

        All modules are in evaluation mode, and what is drawn at random will be drawn again.
        """
        if self._thaw is not None:
            return
        training = [module for module in self.modules if module.training]
        has_gradients = torch.is_grad_enabled()
        for module in training:
            module.training = False
        torch.set_grad_enabled(self._keeps_graph)
        if self._restore_random is None:
            self.keep_random_state()

        def thaw() -> None:
            for module in training:
                module.training = True
            # Where it was frozen within a `no_grad` that the script has left, it is on again.
            if torch.is_grad_enabled() == self._keeps_graph:
                torch.set_grad_enabled(has_gradients)

        self._thaw = thaw

    def leave(self) -> None:
        """Leave the batch."""
        self._contexts.close()
        if self._thaw is not None:
            self._thaw()
            self._thaw = None

    def keep_random_state(self) -> None:
        """Take what is drawn at random from now on for none of the training's."""
        self._restore_random = captured_random_state()

    def restore_random_state(self) -> None:
        """Put the generators back to where the training left them."""
        if self._restore_random is not None:
            self._restore_random()
            self._restore_random = None
