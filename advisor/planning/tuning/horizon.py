"""Tuned numbers of the complete short trainings that a stated training is advised from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteTrainingTuning:
    """How long complete trainings are, how many there are, and how far they are carried.

    Rules of thumb, not tuned, unless said otherwise.

    Attributes:
        max_cost_share: Of the stated training's own time, above 0: what complete trainings may
            take, if the budget leaves so much.
        min_total_s: Seconds, above 0, that they may take however short the training.
        min_trainings: Trainings, at least 2, for whose number their length leaves time.
        few_trainings: The same where that leaves trainings too short to speak of.
        max_trainings: Trainings, at least ``min_trainings``, beyond which none is made.
        min_decay_steps: Steps of decay, at least 1, below which a training says nothing of longer
            ones: cooldowns of fewer than about 200 steps misled (marin-community/marin#4225).
        min_steps: Steps, at least 1, that any training has, whatever its batch.
        max_beginnings: How often the first steps of the stated training are run, at least 1, each
            time with a lower rate.
        factors: Between neighbours in batch and rate, each above 1: the first until none of the
            neighbours is better, then the next.
        fallback_divisor: While every training diverges, the next rate is the lowest over this;
            above 1.
        divergence_margin: Factor, at least 1, by which the advised rate is below the lowest that
            diverged with as large a batch or a larger one: a long training stays at the peak for
            longer than a short one that survived it.
        batch_log_deviation: Of ln B* of the complete trainings about their best, above 0.
        rate_log_deviation: Of ln η* about the best's, above 0.
        most_knee_shift: Largest ln of the best's batch over B*, at least 0, that is inferred from
            how the time of a sample falls with the batch.
        longer_factor: Times as long, above 1, of which an answer says how it would change.
    """

    max_cost_share: float = 0.05
    min_total_s: float = 5.0
    min_trainings: int = 6
    few_trainings: int = 3
    max_trainings: int = 12
    min_decay_steps: int = 200
    min_steps: int = 40
    max_beginnings: int = 3
    factors: tuple[float, ...] = (2.0, 2**0.5)
    fallback_divisor: float = 8.0
    divergence_margin: float = 2.0
    batch_log_deviation: float = 0.6
    rate_log_deviation: float = 0.4
    most_knee_shift: float = 2.0
    longer_factor: float = 4.0

    def __post_init__(self) -> None:
        """Refuse counts of nothing and steps that lead nowhere.

        Raises:
            ValueError: A value is out of its range.
        """
        if not 2 <= self.few_trainings <= self.min_trainings <= self.max_trainings:
            raise ValueError("few_trainings, min_trainings and max_trainings must rise from 2")
        if not min(self.max_cost_share, self.min_total_s) > 0:
            raise ValueError("max_cost_share and min_total_s must be above 0")
        if min(self.min_decay_steps, self.min_steps) < 1:
            raise ValueError("min_decay_steps and min_steps must be at least 1")
        if not min(*self.factors, self.fallback_divisor) > 1 or self.divergence_margin < 1:
            raise ValueError("factors and fallback_divisor must be above 1")
        if not min(self.batch_log_deviation, self.rate_log_deviation) > 0:
            raise ValueError("deviations must be above 0")
