"""Tuned numbers of the runs of a command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRunsTuning:
    """Which batches of a command are run, and for how long.

    Attributes:
        run_share: Share of the budget, above 0 and below 1, for timed steps of one batch. Not that
            of the last run, which is told from the others by it. Rule of thumb, not tuned.
        min_gain: Factor on the highest throughput so far, at least 1, that a doubled batch must
            reach for it to be doubled again. Rule of thumb, not tuned.
    """

    run_share: float = 0.03
    min_gain: float = 1.05

    def __post_init__(self) -> None:
        """Refuse runs that time nothing, and batches that grow without a gain.

        Raises:
            ValueError: A field is out of range.
        """
        if not (0 < self.run_share < 1 <= self.min_gain):
            raise ValueError("run_share must be above 0 and below 1, min_gain at least 1")
