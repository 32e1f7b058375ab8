"""What a script's loop is asked to do next, and what came of it."""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import torch
from torch import Tensor

from advisor.worker.loop.observers import Phase, StepObserver, announce


class Purpose(Enum):
    """What batches are served for."""

    UPDATE = auto()
    """One optimizer step."""
    GRADIENTS = auto()
    """The gradients of one step, which is not taken."""
    EVALUATION = auto()
    """The loss alone, in evaluation mode."""
    PLACEHOLDER = auto()
    """Nothing: the loop needs a batch to go on. Nothing of it is kept."""


@dataclass(slots=True, kw_only=True)
class Request:
    """What a loop is asked for. The script's thread fills in what came of it.

    Attributes:
        purpose: What for.
        batches: Where the batches come from, on the host.
        count: How many, at least 1.
        observers: Told of each phase, in the script's thread.
        gradient_factor: What the gradient of each batch is multiplied by.
        learning_rate: Of the first parameter group; the others keep their ratio to it.
        uses_scaler: Whether the script's gradient scaler, if any, scales.
        uses_autocast: Whether the script's autocast contexts, if any, cast.
        takes_all: Whether each batch goes through with all passes and steps that the loop makes of
            it, as where several optimizers take turns.
        served_count: Batches that the script was given.
        losses: The detached loss of each batch, of those that came to their backward pass.
        has_updated: Whether the optimizer step was taken, or skipped by the scaler.
        error: What went wrong on our side; the script does not see it.
    """

    purpose: Purpose
    batches: Iterator[Any]
    count: int = 1
    observers: Sequence[StepObserver] = ()
    gradient_factor: float = 1.0
    learning_rate: float = 0.0
    uses_scaler: bool = True
    uses_autocast: bool = True
    takes_all: bool = False
    served_count: int = 0
    losses: list[Tensor] = field(default_factory=list)
    has_updated: bool = False
    error: BaseException | None = None
    _again: deque[Any] = field(default_factory=deque)

    @property
    def is_trained_on(self) -> bool:
        """Whether its batches give gradients."""
        return self.purpose in (Purpose.UPDATE, Purpose.GRADIENTS)

    @property
    def has_all_losses(self) -> bool:
        """Whether each batch came to its backward pass."""
        return len(self.losses) == self.count

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to be done."""
        if self.error is not None:
            return True
        return self.has_all_losses and (self.has_updated or self.purpose is not Purpose.UPDATE)

    @property
    def may_update(self) -> bool:
        """Whether what the script does with its gradients now is the step that is asked for."""
        if self.purpose is not Purpose.UPDATE or self.error is not None:
            return False
        if self.takes_all:
            return bool(self.losses)
        return self.has_all_losses and not self.has_updated

    @property
    def has_gradients(self) -> bool:
        """Whether the parameters hold gradients of it that are still needed."""
        if self.takes_all and self.purpose is Purpose.UPDATE:
            return False
        return self.is_trained_on and bool(self.losses) and not self.has_updated

    def next_batch(self) -> Any:
        """Return the next batch; None where there is an error, which is noted."""
        try:
            batch = self._again.popleft() if self._again else next(self.batches)
        except BaseException as error:  # noqa: BLE001 - it is none of the script's
            self.error = error
            return None
        self.served_count += 1
        return batch

    def give_back(self, batch: Any) -> None:
        """Take a batch back that was not used, to be served again."""
        self._again.append(batch)
        self.served_count -= 1

    def diverge(self) -> None:
        """Take it for done, with losses that are not finite."""
        self.losses += [torch.tensor(math.nan)] * (self.count - len(self.losses))
        self.has_updated = True

    def announce(self, phase: Phase) -> None:
        """Tell the observers of a phase. What they raise ends the request; the script goes on."""
        self._tell(lambda: announce(self.observers, phase))

    def tell_received(self, batch: Any) -> None:
        """Tell the observers of a batch that is processed."""
        for observer in self.observers:
            self._tell(functools.partial(observer.received, batch))

    def _tell(self, tell: Callable[[], object]) -> None:
        try:
            tell()
        except BaseException as error:  # noqa: BLE001 - it is none of the script's
            self.error = self.error or error
