"""Where the next trial's setting comes from: a suggestion of the planner's, or a sampler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from bsadvise.model.commands import TrialOrigin

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
class Suggestion:
    """The setting of the next trial, and why it is tried."""

    point: Point
    origin: TrialOrigin


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
        trials: Every trial so far, oldest first. The planner leaves them out where there is a
            suggestion, which does not depend on them: to make and add the records of 189 trials
            would take 12 ms.
        seed: Seed of the search.
        suggestion: What the scaling model suggests, or a neighbour of the best trial; it may lie
            outside of the bounds. None where a sampler chooses.
    """

    smallest_batch_size: int
    largest_batch_size: int
    smallest_multiplier: float
    largest_multiplier: float
    trials: tuple[TrialRecord, ...]
    seed: int
    suggestion: Suggestion | None = None


class Proposer(ABC):
    """Proposes settings.

    Pure: the same study gives the same answer, in this process or another, so that a plan
    made from a log can be made again.
    """

    @abstractmethod
    def propose(self, study: Study) -> Suggestion:
        """Return the study's suggestion, else a setting of the sampler's within the bounds."""
