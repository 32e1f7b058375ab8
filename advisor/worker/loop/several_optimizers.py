"""Several optimizers that take steps in one training, as one optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


class SeveralOptimizers(torch.optim.Optimizer):
    """The parameter groups and the state of several optimizers, which are stepped elsewhere."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Take the optimizers over: they keep their state here from now on.

        Raises:
            ValueError: Two of them train the same parameter.
        """
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        super().__init__([{"params": group["params"]} for group in groups], {})
        self.optimizers = list(optimizers)
        self.param_groups = groups
        for optimizer in self.optimizers:  # Some make state before their first step.
            self.state.update(optimizer.state)
        self._share()

    def _share(self) -> None:
        groups = iter(self.param_groups)
        for optimizer in self.optimizers:
            optimizer.param_groups = [next(groups) for _ in optimizer.param_groups]
            optimizer.state = self.state

    def load_state_dict(self, state_dict: Any) -> None:  # noqa: ANN401 - as torch has it
        """Load the state of all."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Any = None) -> None:  # type: ignore[override] # noqa: ANN401
        """Leave the update to the module."""

    @contextmanager
    def without_updates(self) -> Iterator[None]:
        """Let none of the optimizers update anything."""
        before = [vars(optimizer).get("step") for optimizer in self.optimizers]
        for optimizer in self.optimizers:
            vars(optimizer)["step"] = lambda *_, **__: None
        try:
            yield
        finally:
            for optimizer, step in zip(self.optimizers, before, strict=True):
                del vars(optimizer)["step"]
                if step is not None:  # A scheduler has put its own there.
                    vars(optimizer)["step"] = step


def first_of(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Return an optimizer, or the first of several."""
    return optimizer.optimizers[0] if isinstance(optimizer, SeveralOptimizers) else optimizer
