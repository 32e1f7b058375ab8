"""What can be observed of a training step: its phases, in order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import Enum, auto
from typing import Any


class Phase(Enum):
    """What a step is busy with.

    One optimizer step over ``a`` micro-batches goes through ``ZERO_GRAD``, then ``a`` times
    ``LOADING``, ``FORWARD``, ``BACKWARD``, then ``OPTIMIZER``, and ends in ``LOADING``.
    """

    ZERO_GRAD = auto()
    """The gradients of the step before are let go of."""
    LOADING = auto()
    """Between steps, and while a batch is fetched."""
    FORWARD = auto()
    """The batch's way to the device included."""
    BACKWARD = auto()
    OPTIMIZER = auto()
    """All that is done with the accumulated gradients: unscaling, clipping, the update."""


class StepObserver:
    """Observes steps while they are taken. Every method may be left as it is.

    Attributes:
        failure: What it has raised into an operation, which user code may have caught.
    """

    failure: BaseException | None = None

    def entering(self, phase: Phase) -> None:
        """A phase begins."""

    def received(self, batch: Any) -> None:  # noqa: ANN401 - the user's batch
        """A micro-batch is on the device. Called once in each ``FORWARD`` phase."""

    def around_operations(self) -> AbstractContextManager[object]:
        """Return what is entered around a batch's operations, in the thread that they run in.

        For a training that runs them in another thread than its caller's, where what the caller
        has entered does not hold.
        """
        return nullcontext()


def announce(observers: Sequence[StepObserver], phase: Phase) -> None:
    """Tell each observer that a phase begins."""
    for observer in observers:
        observer.entering(phase)
