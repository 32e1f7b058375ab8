"""Which of two settings is predicted to reach the target first, by trials that stop short of it.

    symbol       meaning                                                       unit
    lead(i, j)   how far trial i is ahead of trial j at equal time             doublings of time
    r            what is left to the target                                    doublings of time
    c            noise penalty for each doubling left and each factor of 2     –

Short trainings favour high learning rates and small batches: the loss falls fast, and the noise
that they leave in the weights shows only when it has fallen far (arXiv 1803.02021, 1812.06162).
Halving the rate costs no more than one doubling of time. So a setting is held back by c·r doublings
for each factor of 2 in the ratio of its learning-rate multiplier to its batch size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from advisor.estimators.learning_curve import LearningCurve
from advisor.planning.trials.seed_variance import SeedVariance, estimate_seed_variance
from advisor.planning.trials.trials import Trial, Trials
from advisor.planning.tuning.comparison import RankingTuning


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
    def seed_variance(self) -> SeedVariance:
        """How much the times to target of this task vary from seed to seed."""
        return estimate_seed_variance(self.trials.all, self.trials.view.tuning.trials.seed_variance)

    @property
    def _tuning(self) -> RankingTuning:
        return self.trials.view.tuning.trials.ranking

    @cached_property
    def doublings_left(self) -> float:
        """R of the trial whose loss is lowest; 0 once any has reached the target."""
        if self.trials.shortest_time_to_target_s is not None:
            return 0.0
        sound = [trial for trial in self.trials.all if trial.is_sound]
        lowest = min(sound, key=lambda trial: trial.loss_until(trial.end_s), default=None)
        if lowest is None:
            return self._tuning.unknown_doublings_to_go
        return self.doublings_to_go(lowest)

    def doublings_to_go(self, trial: Trial) -> float:
        """Return r of a trial, from how fast its loss has been falling."""
        target, tuning = self.trials.view.request.target_loss, self._tuning
        if trial.time_to_target_s is not None:
            return 0.0
        if target is None:
            return tuning.unknown_doublings_to_go
        span = tuning.trend_doublings
        now, before = (trial.loss_until(trial.end_s / 2**back) for back in (0.0, span))
        if not 0 < target < now < before < math.inf:
            return tuning.unknown_doublings_to_go
        doublings = span * math.log(now / target) / math.log(before / now)
        return min(doublings, tuning.max_doublings_to_go)

    def lead(self, trial: Trial, other: Trial, *, within: float = math.inf) -> float:
        """Return by how many doublings ``trial`` is predicted to be ahead; below 0 if behind.

        Args:
            trial: One that is sound.
            other: Another that is.
            within: What is farther from 0 than this need not be exact, only as far; at least 0.
        """
        ours_s, theirs_s = trial.typical_time_to_target_s, other.typical_time_to_target_s
        if ours_s is not None and theirs_s is not None:
            variance = self.seed_variance
            return math.log2(variance.upper_bound_s(other) / variance.upper_bound_s(trial))
        if ours_s is not None and other.end_s >= ours_s:
            return self._tuning.unreached_lead_doublings + math.log2(other.end_s / ours_s)
        if theirs_s is not None and trial.end_s >= theirs_s:
            return -self._tuning.unreached_lead_doublings - math.log2(trial.end_s / theirs_s)
        time_s = min(trial.end_s, other.end_s)
        measure = self.measure_of(trial, other)
        ours, theirs = measure(trial, time_s), measure(other, time_s)
        difference = self.noise_penalty_difference(trial, other)
        most = within + abs(difference)
        ahead = (
            self._doublings_since(trial, time_s, theirs, measure, most)
            if ours <= theirs
            else -self._doublings_since(other, time_s, ours, measure, most)
        )
        return ahead + difference

    def measure_of(self, trial: Trial, other: Trial) -> Measure:
        """Return by which losses two trials compare: of training while it sees few repeats."""
        time_s = min(trial.end_s, other.end_s)
        is_new = _is_within_first_epochs((trial, other), time_s)
        is_informative = self.trials.training_loss_is_informative
        return TRAINING if is_informative and is_new else HELD_OUT

    def noise_penalty_difference(self, trial: Trial, other: Trial) -> float:
        """Return the noise penalty of ``other`` less that of ``trial``, in doublings of time."""
        tuning = self._tuning
        a_factor_2 = min(tuning.noise_penalty * self.doublings_left, tuning.most_noise_penalty)
        return a_factor_2 * (_log_batch_over_rate(trial) - _log_batch_over_rate(other))

    def time_at(self, trial: Trial, loss: float, measure: Measure) -> float:
        """Return the modelled second at which a trial last stood at ``loss`` or above."""
        return trial.end_s / 2 ** self._doublings_since(trial, trial.end_s, loss, measure)

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
        """Return the best of at least one trial; one trained for less must be clearly ahead."""
        deepest_first = sorted(trials, key=lambda trial: -trial.end_s)
        best = deepest_first[0]
        for trial in deepest_first[1:]:
            has_reached = best.time_to_target_s is not None
            shortfall = 0.0 if has_reached else math.log2(best.end_s / trial.end_s)
            needed = self._tuning.tie_doublings * max(shortfall, 0.0)
            if trial.is_sound and (
                not best.is_sound or self.lead(trial, best, within=needed) > needed
            ):
                best = trial
        return best

    def ties_of(self, best: Trial, trials: Sequence[Trial]) -> list[Trial]:
        """Return ``best`` and those that it is not clearly ahead of."""
        tuning, reached_s = self._tuning, best.time_to_target_s
        within = tuning.tie_doublings if reached_s is None else tuning.reached_tie_doublings
        enough_s = (best.end_s if reached_s is None else reached_s) / tuning.max_depth_ratio
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

    def _doublings_since(
        self, trial: Trial, time_s: float, loss: float, measure: Measure, most: float = math.inf
    ) -> float:
        """Return how many doublings before ``time_s`` a trial last stood at ``loss``.

        What is above ``most`` need not be exact, only above it.
        """
        span = math.log2(max(time_s / trial.curve.times_s[0], 1.0))
        if not math.isfinite(loss):
            return span + 1
        steps = self._tuning.backward_steps
        for step in range(self._first_step(trial, time_s, span, loss, measure), steps + 1):
            back = span * step / steps
            if measure(trial, time_s / 2**back) >= loss or back > most:
                return back
        return span

    def _first_step(
        self, trial: Trial, time_s: float, span: float, loss: float, measure: Measure
    ) -> int:
        """Return the first step back at which a trial may have stood at ``loss``, at least 1."""
        if not trial.is_sound or span == 0:
            return 1
        steps = self._tuning.backward_steps
        below_s = measure.curve(trial).below_since_s(loss)
        if below_s is None:
            return steps + 1
        # A step more for the rounding of logarithms.
        first = steps * math.log2(max(time_s / (measure.window * below_s), 1.0)) / span
        return max(1, math.floor(first) - 1)


def _log_batch_over_rate(trial: Trial) -> float:
    """Return log2 of a trial's batch size over its learning-rate multiplier."""
    return math.log2(trial.point.effective_batch_size / trial.point.lr_multiplier)


def _is_within_first_epochs(trials: Iterable[Trial], time_s: float) -> bool:
    """Return whether training losses can be compared at a modelled second."""
    return all(t.training is not None and time_s <= t.first_epochs_s for t in trials)
