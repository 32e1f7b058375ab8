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
        few_trainings: The same where that leaves trainings too short to speak of. Where the budget
            pays for as many of the stated training itself, nothing is carried; where it pays for
            ``min_trainings``, there are no short ones.
        final_trainings: How often the stated training is made, at least 1, after short ones.
        checks: Trainings more, at least 0, for which their length leaves time: of what is carried.
        most_time_factor: Modelled time of the stated training with another batch over that with the
            reference's, at least 1, beyond which it is not tried where the objective counts time.
        ladder_factor: T_r over T_s, at least ``min_ladder_factor``. A batch that grew as the
            language models' did would be two to three times as large over it.
        min_ladder_factor: The least of that, above 1, by which the growth shows.
        max_trainings: Trainings, at least ``min_trainings``, beyond which none is made.
        min_decay_steps: Steps of decay, at least 1, below which a training says nothing of longer
            ones: cooldowns of fewer than about 200 steps misled (marin-community/marin#4225).
        min_steps: Steps, at least 1, that any training has, whatever its batch.
        max_beginnings: How often the first steps of the stated training are run, at least 1: with
            the batch that is carried, with the measured one, and with lower rates.
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
    final_trainings: int = 2
    checks: int = 3
    most_time_factor: float = 1.1
    ladder_factor: float = 8.0
    min_ladder_factor: float = 4.0
    max_trainings: int = 12
    min_decay_steps: int = 200
    min_steps: int = 40
    max_beginnings: int = 4
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
        if not 1 <= self.final_trainings < self.few_trainings:
            raise ValueError("final_trainings must be from 1 to below few_trainings")
        if self.checks < 0 or self.most_time_factor < 1:
            raise ValueError("checks must be at least 0, and most_time_factor at least 1")
        if not 1 < self.min_ladder_factor <= self.ladder_factor:
            raise ValueError("min_ladder_factor must be above 1 and at most ladder_factor")
        if not 2 <= self.few_trainings <= self.min_trainings <= self.max_trainings:
            raise ValueError("few_trainings, min_trainings and max_trainings must rise from 2")
        if not min(self.max_cost_share, self.min_total_s) > 0:
            raise ValueError("max_cost_share and min_total_s must be above 0")
        if min(self.min_decay_steps, self.min_steps) < 1:
            raise ValueError("steps must be at least 1")
        if not min(*self.factors, self.fallback_divisor) > 1 or self.divergence_margin < 1:
            raise ValueError("factors and fallback_divisor must be above 1")
        if not min(self.batch_log_deviation, self.rate_log_deviation) > 0:
            raise ValueError("deviations must be above 0")
