"""Where the next trial's setting comes from once structure has nothing more to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from advisor.domain.validation.quantities import above, at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One setting: an effective batch size and a multiplier of the rule's learning rate."""

    effective_batch_size: int
    lr_multiplier: float

    def __post_init__(self) -> None:
        at_least("effective_batch_size", self.effective_batch_size, 1)
        above("lr_multiplier", self.lr_multiplier, 0)

    def is_near(self, other: Point, *, batch_factor: float, multiplier_factor: float) -> bool:
        """Return whether two settings are within some factors of each other."""
        sizes = (self.effective_batch_size, other.effective_batch_size)
        multipliers = (self.lr_multiplier, other.lr_multiplier)
        return max(sizes) <= batch_factor * min(sizes) and (
            max(multipliers) <= multiplier_factor * min(multipliers)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One trial of a study; no more will come of it.

    Attributes:
        point: Its setting.
        losses: Held-out loss by rung; a rung at which it diverged is absent.
        was_pruned: Whether it was stopped before the last rung.
        excess: How far it broke the constraints (out of memory, divergence): above 0 when it
            did, and then its losses say nothing.
    """

    point: Point
    losses: Mapping[int, float] = field(default_factory=dict)
    was_pruned: bool = False
    excess: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All that a proposer may know.

    Attributes:
        smallest_batch_size: Lower end of the effective batch, inclusive.
        largest_batch_size: Upper end, inclusive.
        smallest_multiplier: Lower end of the learning-rate multiplier.
        largest_multiplier: Upper end.
        trials: Every trial so far, oldest first.
        seed: Seed of the search.
    """

    smallest_batch_size: int
    largest_batch_size: int
    smallest_multiplier: float
    largest_multiplier: float
    trials: tuple[TrialRecord, ...]
    seed: int


class Proposer(ABC):
    """Proposes settings.

    Pure: the same study gives the same answer, in this process or another, so that a plan
    made from a log can be made again.
    """

    @abstractmethod
    def propose(self, study: Study) -> Point:
        """Return the setting of the next trial, within the study's bounds."""
