"""The choice: from trials, or from rules where there are none, to one setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.advice import Evidence
from bsadvise.model.request import Objective

from advisor.planning.answer.speedup import Speedup, held_out_ratio, speedup_over_reference
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.evidence.semantics import is_indivisible, mean_loss_rate
from advisor.planning.evidence.split import Split, friendly_size
from advisor.planning.horizon.carrying import CarriedSetting, Carrier
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.throughput.energy import energy_j
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.range_test import suggested_rate
from advisor.planning.trials.trial_search import TrialSearch
from advisor.planning.trials.trials import Trial, Trials
from advisor.planning.tuning.answer import ChoiceTuning
from advisor.ports.proposer import Point


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting and what it rests on.

    Attributes:
        split: The batch.
        learning_rate: η.
        evidence: Whether this very setting was trained.
        trial: The trial that it was; None for one that follows a rule.
        carried: How it was carried to the stated training; None where none was stated.
    """

    split: Split
    learning_rate: float
    evidence: Evidence
    trial: Trial | None = None
    carried: CarriedSetting | None = None


@dataclass(frozen=True)
class Chooser:
    """Chooses by an objective.

    Attributes:
        view: The log so far; memory has been traced.
    """

    view: LogView

    @property
    def _tuning(self) -> ChoiceTuning:
        return self.view.tuning.answer.choice

    @cached_property
    def search(self) -> TrialSearch:
        """The search that trained them."""
        return self.view.model(TrialSearch)

    @cached_property
    def batches(self) -> BatchSizes:
        """The batches that were thought of."""
        return self.view.model(BatchSizes)

    @cached_property
    def trials(self) -> Trials:
        """What was trained; not to be asked for before steps were timed."""
        return self.search.trials

    @cached_property
    def sound(self) -> tuple[Trial, ...]:
        """The trials that can be recommended: trained as asked, on the batch asked for."""
        request = self.view.request
        if self.view.step_times is None or request.max_trials == 0:
            return ()
        return tuple(
            trial
            for trial in self.trials.all
            if trial.is_sound
            and request.effective_batch_size in (None, trial.split.effective_batch_size)
        )

    @cached_property
    def target_loss(self) -> float | None:
        """The loss by whose time trials are ranked; None without trials.

        The user's where some trial came to it. Where there is none, what the reference recipe has
        settled at: what lies below is due to chance in overfitting as much as to the setting. Else
        nearly the best that any trial came to.
        """
        if not self.sound:
            return None
        if self._was_target_met:
            return self.view.request.target_loss
        best = min(trial.curve.best_loss for trial in self.sound)
        if self._has_settled:
            best = max(best, self.sound[0].curve.best_loss)
        return self.nearly(best)

    @cached_property
    def _was_target_met(self) -> bool:
        return any(trial.time_to_target_s is not None for trial in self.sound)

    @cached_property
    def _has_settled(self) -> bool:
        """Whether the reference's loss has all but stopped falling, and no target is asked for."""
        reference = self.trials.reference
        has_target = self.view.request.target_loss is not None
        if has_target or reference is None or reference not in self.sound:
            return False
        start, best = reference.curve.losses[0], reference.curve.best_loss
        lowest = min(trial.curve.best_loss for trial in self.sound)
        tuning = self._tuning
        has_begun = start - best >= tuning.min_relative_fall * (start - lowest)
        settled_s = tuning.settled_share * reference.end_s
        return has_begun and reference.curve.best_until(settled_s) <= self.nearly(best)

    def nearly(self, loss: float) -> float:
        """Return the loss that is as good as ``loss``: the last bit of the way is noise.

        It is above by a share of the loss, which is bounded by shares of the way down to it, so
        that losses near or below 0 make sense too.
        """
        start = self.trials.initial_loss
        worst = max(trial.curve.best_loss for trial in self.sound) if start is None else start
        tuning, fall = self._tuning, max(worst - loss, 0.0)
        margin = max(tuning.loss_margin * abs(loss), tuning.min_progress_margin * fall)
        return loss + min(margin, tuning.max_progress_margin * fall)

    @cached_property
    def choice(self) -> Choice | None:
        """The setting for the request's objective; None where nothing fits."""
        carried = self.view.model(Carrier).setting
        if carried is not None:
            return Choice(carried.split, carried.learning_rate, Evidence.MEASURED, carried=carried)
        fastest = self._fastest() or self._by_rule()
        if fastest is None:
            return None
        match self.view.request.objective:
            case Objective.SAMPLES:
                return self.fewest_samples() or fastest
            case Objective.THROUGHPUT:
                return self.highest_throughput() or fastest
            case Objective.MEMORY:
                return self.leanest(fastest)
            case Objective.ENERGY:
                return self._least(self.energy_to_target_j) or fastest
            case Objective.TIME | Objective.COST:
                # The devices are given and their price is fixed: the cost is the time's multiple.
                return fastest if self._has_settled else self._undominated(fastest)

    def time_to_target_s(self, trial: Trial) -> float | None:
        """Return the modelled seconds in which a trial came to the target; None if never."""
        if self._was_target_met or self.target_loss is None:
            return trial.typical_time_to_target_s
        return trial.curve.time_to(self.target_loss)

    def energy_to_target_j(self, trial: Trial) -> float | None:
        """Return the modelled joules in which a trial came to the target; None if unknown."""
        time_s = self.time_to_target_s(trial)
        return None if time_s is None else energy_j(self.view, trial.split, time_s)

    def samples_to_target(self, trial: Trial) -> float | None:
        """Return the samples in which a trial came to the target; None if never."""
        time_s = self.time_to_target_s(trial)
        if time_s is None:
            return None
        step_time_s = self.search.cost.step_time_s(trial.split)
        return time_s / step_time_s * trial.split.effective_batch_size

    def _undominated(self, choice: Choice) -> Choice:
        """Return the choice, or a trial that was sooner and took far fewer samples.

        The middle of those about as fast is not taken for its place alone when another beats it by
        both measures. One that the ranking sees behind, for what its noise will cost later, is no
        better for being ahead so far.
        """
        chosen, time_s, samples = choice.trial, None, None
        if chosen is not None:
            time_s, samples = self.time_to_target_s(chosen), self.samples_to_target(chosen)
        if chosen is None or not time_s or not samples:
            return choice
        most = self.view.tuning.answer.advice.max_alternative_share * samples
        better = [
            trial
            for trial in self.sound
            if (self.time_to_target_s(trial) or time_s) < time_s
            and (self.samples_to_target(trial) or most + 1) <= most
            and self.search.ranking.lead(trial, chosen, within=0.0) >= 0
        ]
        best = min(better, key=lambda trial: self.time_to_target_s(trial) or time_s, default=None)
        return choice if best is None else _trained(best)

    def fewest_samples(self) -> Choice | None:
        """Return the trial that needed the fewest samples to the target."""
        return self._least(self.samples_to_target)

    def highest_throughput(self) -> Choice | None:
        """Return the setting at the knee of samples/s; None where steps were not timed."""
        if self.view.step_times is None:
            return None
        fixed = self.view.request.effective_batch_size
        size = fixed or self.view.step_times.knee() * self.view.request.world_size
        split = self.search.cost.split(size)
        if split is None:
            return None
        same = [t for t in self.sound if t.split == split]
        if same:
            return _trained(
                min(same, key=lambda trial: trial.loss_until(self.search.schedule.entry_s))
            )
        return Choice(split, self._rule_rate(split, self._multiplier()), Evidence.RULE)

    def leanest(self, choice: Choice) -> Choice:
        """Return ``choice`` with its batch split so that memory is least."""
        memory = self.view.model(MemoryModel)
        if self.view.profile.batch_norm_layer_count or is_indivisible(self.view):
            # Another micro-batch would be another model: its statistics are the micro-batch's.
            return choice
        share = choice.split.micro_batch_size * choice.split.accumulation_steps
        splits = [
            Split(size, share // size, choice.split.world_size)
            for size in range(choice.split.micro_batch_size, 0, -1)
            if share % size == 0
        ]
        most = (1 + self._tuning.memory_tie_share) * min(map(memory.split_peak_bytes, splits))
        split = next(split for split in splits if memory.split_peak_bytes(split) <= most)
        return Choice(split, choice.learning_rate, choice.evidence, choice.trial)

    def _fastest(self) -> Choice | None:
        """Return the trial of shortest time to the target; None without trials.

        Of those that are about as fast, the one in the middle of them. Where the reference has
        settled it is the largest batch instead: short trainings favour small ones, and the noise
        that a large one averages away matters more as the loss falls (arXiv 1803.02021,
        1812.06162). If that is expected to be slower than the reference, it is the reference.
        """
        if not self.sound:
            return None
        if not self._has_settled:
            return _trained(self._middle())
        best = self._least(self.time_to_target_s)
        if best is None or best.trial is None:
            return best
        most_s = self._tuning.time_tie_factor * (self.time_to_target_s(best.trial) or 0.0)
        ties = [t for t in self.sound if (self.time_to_target_s(t) or most_s + 1) <= most_s]
        largest = max(ties, key=_batch_size, default=best.trial)
        return _trained(self.sound[0] if self._looks_slower(largest) else largest)

    def _middle(self) -> Trial:
        """Return the middle of the best, or the best where that looks slower than the reference."""
        ranking = self.search.ranking
        middle = ranking.middle_of_best(self.sound)
        return ranking.best_of(self.sound) if self._looks_slower(middle) else middle

    def _looks_slower(self, trial: Trial) -> bool:
        """Return whether held-out losses see a trial behind the reference."""
        ratio = held_out_ratio(self.search.ranking, trial, self._floor)
        return ratio is not None and ratio < 1

    def speedup(self, trial: Trial) -> Speedup | None:
        """Return how many times as fast as the reference a trial is; None if that is unknown."""
        return speedup_over_reference(self.search.ranking, trial, self._floor)

    @cached_property
    def _floor(self) -> float:
        """The lowest loss at which trials compare with the reference, where that is sound."""
        reference, target = self.trials.reference, self.view.request.target_loss
        if target is not None or reference is None or not reference.is_sound:
            return target or 0.0
        return self.nearly(reference.curve.best_loss)

    def _least(self, cost: Callable[[Trial], float | None]) -> Choice | None:
        costs = [(cost(trial), trial) for trial in self.sound]
        reached = [(value, trial) for value, trial in costs if value is not None]
        if not reached:
            return None
        return _trained(min(reached, key=lambda pair: pair[0])[1])

    def _by_rule(self) -> Choice | None:
        split = self._split(self._rule_batch_size())
        if split is None:
            return None
        return Choice(split, self._rule_rate(split, self._multiplier()), Evidence.RULE)

    def _rule_batch_size(self) -> int:
        fixed = self.view.request.effective_batch_size
        if fixed:
            return fixed
        if self.view.step_times is not None:
            if self.view.profile.is_synthetic and not self.view.profile.reference_batch_size:
                return self.view.step_times.knee() * self.view.request.world_size
            if self.batches.noise_scale is not None:
                return self.batches.predicted()
        return self.batches.reference

    def _split(self, batch_size: int) -> Split | None:
        split = self.search.cost.split(batch_size)
        fixed = self.view.request.effective_batch_size
        if split is not None or fixed:
            return split
        # A batch with no divisor that fits: the largest that does, in one piece.
        largest = friendly_size(
            self.view.model(MemoryModel).max_micro_batch_size,
            self.view.tuning.evidence.max_rounding_share,
        )
        world_size = self.view.request.world_size
        return self.search.cost.split(largest * world_size) if largest else None

    def _multiplier(self) -> float:
        """Return the multiplier of the best trial, else of what a range test suggests, else 1."""
        best = self.search.ranking.best if self.sound else None
        if best is not None:
            return best.point.lr_multiplier
        return (suggested_rate(self.view) or 0.0) / reference_learning_rate(self.view) or 1.0

    def _rule_rate(self, split: Split, multiplier: float) -> float:
        """Return the rule's rate, but none larger than all that were seen to reach the target."""
        point = Point(effective_batch_size=split.effective_batch_size, lr_multiplier=multiplier)
        rate = self.trials.learning_rate(point)
        seen = [
            mean_loss_rate(self.view, t.learning_rate, t.split.effective_batch_size)
            for t in self.sound
            if self.time_to_target_s(t) is not None
        ]
        factor = mean_loss_rate(self.view, 1.0, split.effective_batch_size)
        return min(rate, max(seen, default=rate * factor) / factor)


def _batch_size(trial: Trial) -> int:
    return trial.split.effective_batch_size


def _trained(trial: Trial) -> Choice:
    return Choice(trial.split, trial.learning_rate, Evidence.MEASURED, trial)
