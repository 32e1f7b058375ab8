"""What the daemon counts of its own work, for those who operate it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from bsadvise.model.commands import Command
from bsadvise.model.measurements import Measurement, Outcome
from bsadvise.model.recommendation import State

NoteOutcome = Callable[[Outcome], None]


class Telemetry(ABC):
    """Is told of what happens. Never raises, never waits; every method is cheap."""

    @abstractmethod
    def created(self, recommendation_id: str) -> None:
        """The call under way created a recommendation; what is done for it belongs to the call."""

    @abstractmethod
    def running(self, recommendation_id: str) -> AbstractContextManager[None]:
        """Return what a recommendation is run inside of."""

    @abstractmethod
    def leased(self, device_ids: Collection[str], *, waited_s: float) -> None:
        """A recommendation began to run on devices, so long after it was created."""

    @abstractmethod
    def released(self, device_ids: Collection[str], state: State | None) -> None:
        """A run left its devices; None as the state where its lease or the store was lost."""

    @abstractmethod
    def measuring(
        self, command: Command, recommendation_id: str | None = None
    ) -> AbstractContextManager[NoteOutcome]:
        """Return what a command is carried out inside of, and told the outcome of.

        Without a recommendation it belongs to the call under way.
        """

    @abstractmethod
    def measured(self, measurement: Measurement) -> None:
        """A command came to its outcome."""

    @abstractmethod
    def failed(self, task: str) -> None:
        """A task of the daemon's own has failed, and goes on."""

    @abstractmethod
    def removed(self, kind: str, count: int) -> None:
        """So many of something were removed for their age or size."""
