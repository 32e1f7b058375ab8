"""Which of two settings is the more promising, by trials that stop short of the target.

    lead(i, j)   by how many doublings of time trial i is ahead of trial j, at equal time
    r            doublings of time still to go to the target

Short trainings flatter what is hot: high learning rates and small batches fall fast, and the
noise that they leave in the weights shows only when the loss has fallen far (arXiv 1803.02021,
1812.06162). Halving the rate costs no more than one doubling of time. So for each doubling that
is still to go, the comparison grants a part of one for every halving of the rate's multiplier and
every doubling of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from advisor.estimators.learning_curve import LearningCurve
from advisor.planning.trials.seed_variance import SeedVariance, luck_of
from advisor.planning.trials.trials import Trial, Trials

_MOST_DOUBLINGS = 4.0
_UNKNOWN_DOUBLINGS = 1.5
"""Without a target one trains on for longer than any trial."""

_TIE = 0.3
_ARRIVED_TIE = 0.15
"""Doublings of time that short trials cannot tell apart, and that such as arrived cannot."""
_DEEP_SHARE = 1.5
"""How much sooner than the best a trial may have ended to be compared with it."""

_BACKWARD_STEPS = 48


@dataclass(frozen=True, slots=True)
class Measure:
    """The loss by which trials are compared: infinite for one that is not sound.

    Attributes:
        curve: The learning curve that it is read off.
        window: Over so many times the earlier second it is a mean.
    """

    curve: Callable[[Trial], LearningCurve]
    window: float

    def __call__(self, trial: Trial, time_s: float) -> float:
        """Return the loss of a trial at a modelled second, at most at its end."""
        if not trial.is_sound:
            return math.inf
        curve = self.curve(trial)
        if self.window == 1:
            return curve.loss_at(time_s)
        return curve.smoothed_at(min(time_s, curve.end_s))


HELD_OUT = Measure(lambda trial: trial.curve, window=2.0)
TRAINING = Measure(lambda trial: trial.progress, window=1.0)


@dataclass(frozen=True)
class Ranking:
    """Compares trials.

    Attributes:
        trials: What was trained.
    """

    trials: Trials

    @cached_property
    def luck(self) -> SeedVariance:
        """How far luck goes on this task."""
        return luck_of(self.trials.all)

    @cached_property
    def doublings_left(self) -> float:
        """R of the trial whose loss is lowest; 0 once any has come to the target."""
        if self.trials.soonest_s is not None:
            return 0.0
        sound = [trial for trial in self.trials.all if trial.is_sound]
        lowest = min(sound, key=lambda trial: trial.loss_until(trial.end_s), default=None)
        return _UNKNOWN_DOUBLINGS if lowest is None else self.doublings_to_go(lowest)

    def doublings_to_go(self, trial: Trial) -> float:
        """Return r of a trial, from how fast its loss has been falling."""
        target = self.trials.view.request.target_loss
        if trial.arrival_s is not None:
            return 0.0
        if target is None:
            return _UNKNOWN_DOUBLINGS
        now, before = (trial.loss_until(trial.end_s / part) for part in (1, 4))
        if not 0 < target < now < before < math.inf:
            return _UNKNOWN_DOUBLINGS
        doublings = 2 * math.log(now / target) / math.log(before / now)
        return min(doublings, _MOST_DOUBLINGS)

    def lead(self, trial: Trial, other: Trial, *, within: float = math.inf) -> float:
        """Return by how many doublings ``trial`` is the more promising; below 0 if it is less.

        Args:
            trial: One that is sound.
            other: Another that is.
            within: What is farther from 0 than this need not be exact, only as far; at least 0.
        """
        ours_s, theirs_s = trial.typical_arrival_s, other.typical_arrival_s
        if ours_s is not None and theirs_s is not None:
            return math.log2(self.luck.cautious_s(other) / self.luck.cautious_s(trial))
        if ours_s is not None and other.end_s >= ours_s:
            return 1 + math.log2(other.end_s / ours_s)
        if theirs_s is not None and trial.end_s >= theirs_s:
            return -1 - math.log2(trial.end_s / theirs_s)
        time_s = min(trial.end_s, other.end_s)
        measure = self.measure_of(trial, other)
        ours, theirs = measure(trial, time_s), measure(other, time_s)
        credit = self.credit(trial, other)
        most = within + abs(credit)
        ahead = (
            _doublings_since(trial, time_s, theirs, measure, most)
            if ours <= theirs
            else -_doublings_since(other, time_s, ours, measure, most)
        )
        return ahead + credit

    def measure_of(self, trial: Trial, other: Trial) -> Measure:
        """Return by which losses two trials compare: those of training while they are honest."""
        time_s = min(trial.end_s, other.end_s)
        tells = self.trials.training_tells and _is_honest((trial, other), time_s)
        return TRAINING if tells else HELD_OUT

    def credit(self, trial: Trial, other: Trial) -> float:
        """Return the doublings that ``trial`` is granted for being the cooler; below 0 if not."""
        tuning = self.trials.view.tuning.trials.ranking
        a_factor_2 = min(tuning.noise_penalty * self.doublings_left, tuning.most_noise_penalty)
        return a_factor_2 * (_coolness(trial) - _coolness(other))

    def time_at(self, trial: Trial, loss: float, measure: Measure) -> float:
        """Return the modelled second at which a trial last stood at ``loss`` or above."""
        return trial.end_s / 2 ** _doublings_since(trial, trial.end_s, loss, measure)

    def best_of(self, trials: Sequence[Trial]) -> Trial:
        """Return the best of at least one trial, the earlier one on a tie."""
        best = trials[0]
        for trial in trials[1:]:
            if trial.is_sound and (not best.is_sound or self.lead(trial, best, within=0.0) > 0):
                best = trial
        return best

    @cached_property
    def best(self) -> Trial | None:
        """The best of those that can be recommended; None when there is none."""
        sound = [trial for trial in self.trials.all if trial.is_sound]
        return self.best_of(sound) if sound else None

    def best_proven(self, trials: Sequence[Trial]) -> Trial:
        """Return the best of at least one trial, where less training must promise the more."""
        deepest_first = sorted(trials, key=lambda trial: -trial.end_s)
        best = deepest_first[0]
        for trial in deepest_first[1:]:
            shortfall = math.log2(best.end_s / trial.end_s) if best.arrival_s is None else 0.0
            needed = _TIE * max(shortfall, 0.0)
            if trial.is_sound and (
                not best.is_sound or self.lead(trial, best, within=needed) > needed
            ):
                best = trial
        return best

    def ties_of(self, best: Trial, trials: Sequence[Trial]) -> list[Trial]:
        """Return ``best`` and those that it is not clearly ahead of."""
        within = _TIE if best.arrival_s is None else _ARRIVED_TIE
        enough_s = (best.end_s if best.arrival_s is None else best.arrival_s) / _DEEP_SHARE
        return [
            trial
            for trial in trials
            if trial is best
            or (
                trial.is_sound
                and trial.end_s >= enough_s
                and self.lead(best, trial, within=within) <= within
            )
        ]

    def middle_of_best(self, trials: Sequence[Trial]) -> Trial:
        """Return, of those that the best is not clearly ahead of, the one in their middle.

        There one is furthest from where the same setting would go wrong. A best that was trained
        from other weights too is known well enough to be taken itself.
        """
        best = self.best_proven(trials)
        if best.replicates_s:
            return best
        ties = self.ties_of(best, trials)
        multiplier = median(math.log(tie.point.lr_multiplier) for tie in ties)
        size = median(math.log(tie.point.effective_batch_size) for tie in ties)

        def distance(trial: Trial) -> float:
            return math.hypot(
                math.log(trial.point.lr_multiplier) - multiplier,
                math.log(trial.point.effective_batch_size) - size,
            )

        return min(ties, key=lambda trial: (distance(trial), trial.learning_rate))


def _coolness(trial: Trial) -> float:
    """Return the halvings of a multiplier of 1, and doublings of a batch of 1, that make it."""
    return math.log2(trial.point.effective_batch_size / trial.point.lr_multiplier)


def _is_honest(trials: Iterable[Trial], time_s: float) -> bool:
    """Return whether training losses can be compared at a modelled second."""
    return all(t.training is not None and time_s <= t.honest_s for t in trials)


def _doublings_since(
    trial: Trial, time_s: float, loss: float, measure: Measure, most: float = math.inf
) -> float:
    """Return how many doublings before ``time_s`` a trial last stood at ``loss``.

    What is above ``most`` need not be exact, only above it.
    """
    span = math.log2(max(time_s / trial.curve.times_s[0], 1.0))
    if not math.isfinite(loss):
        return span + 1
    for step in range(_first_step(trial, time_s, span, loss, measure), _BACKWARD_STEPS + 1):
        back = span * step / _BACKWARD_STEPS
        if measure(trial, time_s / 2**back) >= loss or back > most:
            return back
    return span


def _first_step(trial: Trial, time_s: float, span: float, loss: float, measure: Measure) -> int:
    """Return the first step back at which a trial may have stood at ``loss``, at least 1."""
    if not trial.is_sound or span == 0:
        return 1
    below_s = measure.curve(trial).below_since_s(loss)
    if below_s is None:
        return _BACKWARD_STEPS + 1
    # A step more for the rounding of logarithms.
    steps = _BACKWARD_STEPS * math.log2(max(time_s / (measure.window * below_s), 1.0)) / span
    return max(1, math.floor(steps) - 1)
