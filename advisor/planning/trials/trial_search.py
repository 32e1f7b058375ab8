"""The search: the reference recipe, then trials, compared at equal modelled time.

Every trial trains from the same fresh weights on the same order of samples, in rungs that end at
modelled times, each twice the one before, or less where the budget leaves no more. The reference
is trial 0; its first rung, on which the noise scale is measured, is the reference run.

The setting that the scaling model suggests is tried first, for a first rung; when it was, the
leaders are trained for twice as long, which changes what the model suggests. Once one has reached
the target, no other is trained for much longer than that took. Late in the search the settings that
may yet be the best are trained from other seeds, to separate their merit from seed variance, before
neighbours of the best are tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bsadvise.model.advice import Refusal
from bsadvise.model.commands import REFERENCE_TRIAL, Command, Evaluate, Train
from bsadvise.model.measurements import Evaluation

from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.evidence.refusals import refuse
from advisor.planning.evidence.semantics import is_indivisible, is_loss_sum
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.ranking import Ranking
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.trials.suggest import Suggester
from advisor.planning.trials.trials import Trial, Trials
from advisor.planning.tuning.trials import TrialSearchTuning
from advisor.ports.proposer import Point, Proposer, Suggestion


@dataclass(frozen=True)
class TrialSearch:
    """The trials of a log and what should be trained next.

    Attributes:
        view: The log so far, with timed steps.
    """

    view: LogView

    @cached_property
    def trials(self) -> Trials:
        """The trials so far."""
        return self.view.model(Trials)

    @cached_property
    def ranking(self) -> Ranking:
        """How they compare."""
        return Ranking(self.trials)

    @cached_property
    def cost(self) -> StepCost:
        """What steps cost."""
        return self.view.model(StepCost)

    @cached_property
    def schedule(self) -> RungSchedule:
        """How far trials are trained."""
        return self.view.model(RungSchedule)

    @cached_property
    def batches(self) -> BatchSizes:
        """The batch sizes that may be tried."""
        return self.view.model(BatchSizes)

    def next_command(self, proposer: Proposer) -> Train | Evaluate | Refusal | None:
        """Return what to train next; None when another trial would not be worth its time."""
        if not self.can_train:
            return None
        return self.next_of_reference() or self._next_training(proposer)

    def next_of_reference(self) -> Train | Evaluate | Refusal | None:
        """Return what is still needed of the reference run; None when it has been made."""
        evaluations = list(self.view.entries(Evaluate))
        if not evaluations:
            return Evaluate(
                evaluation_batch_size=self.schedule.evaluation_batch_size,
                is_loss_sum=is_loss_sum(self.view),
                time_limit_s=hook_limit_s(self.view),
            )
        command, entry = evaluations[0]
        if not isinstance(entry.outcome, Evaluation):
            return refuse(command, entry.outcome)
        if not self.trials.all:
            return self._reference_run()
        reference = self.trials.all[REFERENCE_TRIAL]
        if reference.fault is not None and not reference.runs:
            first, failed = next(iter(self.view.entries(Train)))
            return refuse(first, failed.outcome)
        return None

    def is_short(self, trial: Trial) -> bool:
        """Return whether a trial was not trained as far as it might have been."""
        return trial.time_to_target_s is None and not trial.reaches(self.schedule.horizon_s)

    @property
    def is_unfinished(self) -> bool:
        """Whether leaders would be trained on, were there time for it."""
        return next(self._deepened(), None) is not None

    def _next_training(self, proposer: Proposer) -> Train | None:
        if self.view.request.max_trials == 0:
            return None
        return (
            self._suggested(proposer)
            or self._first_affordable(self._deepened())
            or (self._first_affordable(self._contested()) if self.schedule.is_late else None)
            or self._explored(proposer)
            or self._first_affordable(self._reference_on())
            or self._first_affordable(self._replicated())
        )

    @property
    def _tuning(self) -> TrialSearchTuning:
        return self.view.tuning.trials.search

    def _suggested(self, proposer: Proposer) -> Train | None:
        """Return the first rung of the setting that is predicted best; None when it was tried."""
        suggestion = self.suggester.suggested(proposer)
        return None if suggestion is None else self._begun(suggestion)

    def _explored(self, proposer: Proposer) -> Train | None:
        """Return the first rung of a neighbour of the best; None when there are enough."""
        suggestion = self.suggester.explored(proposer)
        return None if suggestion is None else self._begun(suggestion)

    @cached_property
    def suggester(self) -> Suggester:
        """What suggests the next setting."""
        return Suggester(self.ranking, self.batches)

    @cached_property
    def _busy(self) -> frozenset[int]:
        """Numbers of the trials that are being trained now."""
        running = (command for command in self.view.running if isinstance(command, Train))
        return frozenset(command.trial_number for command in running)

    @property
    def _next_number(self) -> int:
        """The number of the next new trial: above all that were ever given."""
        return 1 + max((*self._busy, *(trial.number for trial in self.trials.all)))

    def _begun(self, suggestion: Suggestion) -> Train | None:
        """Return the first rung of another trial; None when it cannot be begun."""
        number, most = self._next_number, self.view.request.max_trials
        size = self.batches.common(suggestion.point.effective_batch_size)
        point = replace(suggestion.point, effective_batch_size=size)
        split = self.cost.split(size)
        is_full = most is not None and number >= most
        if is_full or split is None or self._is_known(point):
            return None
        first_s = min(self.schedule.first_rung_s(self.cost.step_time_s(split)), self._last_s)
        return self._first_affordable(
            self.schedule.rung(
                split=split,
                learning_rate=self.trials.learning_rate(point),
                trial=number,
                origin=suggestion.origin,
                end_s=share * first_s,
            )
            for share in self._tuning.first_shares
        )

    @cached_property
    def _last_s(self) -> float:
        """Modelled seconds after which a trial is trained no further.

        One that has not reached the target by the time that another has is worse.
        """
        horizon_s, shortest_s = self.schedule.horizon_s, self.trials.shortest_time_to_target_s
        if shortest_s is None:
            return horizon_s
        return min(self._tuning.target_slack * shortest_s, horizon_s)

    def _deepened(self) -> Iterator[Train]:
        """Yield the next rungs of the leaders, the longest first, then of the least trained."""
        best, tuning = self.ranking.best, self._tuning
        if best is None:
            return
        behind = {
            trial.number: self._behind(best, trial) for trial in self.trials.all if trial.is_sound
        }
        rivals = sorted(behind, key=lambda number: behind[number])[: tuning.max_leaders]
        leaders = [n for n in rivals if behind[n] <= tuning.max_leader_gap]
        worth = sorted(
            (
                round(tuning.depths_per_doubling * math.log2(trial.end_s)),
                behind[trial.number],
                trial.number,
                trial,
            )
            for trial in self.trials.all
            if self._can_go_on(trial) and (trial.number in leaders or self._is_kept(trial))
        )
        for growth in tuning.growths:
            for *_, trial in worth:
                yield self._further(trial, min(growth * trial.end_s, self._last_s))

    def _behind(self, best: Trial, trial: Trial) -> float:
        """Return by how many doublings a trial is behind; no exact figure for those that end."""
        if trial is best:
            return 0.0
        within = math.inf if self._is_kept(trial) else self._tuning.max_leader_gap
        return max(0.0, self.ranking.lead(best, trial, within=within))

    def _further(self, trial: Trial, end_s: float) -> Train:
        """Return the rung that takes a trial on to ``end_s``."""
        # Halves of a batch would be another model where it is normalised: the first rung is enough.
        has_norm = self.view.profile.batch_norm_layer_count > 0
        counts_noise = trial.number == REFERENCE_TRIAL and not has_norm
        return self.schedule.rung(
            split=self._halved(trial.split) if counts_noise else trial.split,
            learning_rate=trial.learning_rate,
            trial=trial.number,
            origin=trial.origin,
            end_s=end_s,
            begun=trial.step_count,
            ordinal=len(trial.runs),
            measure_noise=counts_noise,
        )

    def _can_go_on(self, trial: Trial) -> bool:
        # The reference run has a share of the time: where it was cut, more may be left.
        return (
            trial.is_sound
            and not self.view.profile.has_unsaved_state
            and trial.number not in self._busy
            and (trial.number == REFERENCE_TRIAL or not trial.was_cut)
            and trial.time_to_target_s is None
            and not trial.reaches(self._last_s)
        )

    def _is_kept(self, trial: Trial) -> bool:
        """Return whether a trial goes on however it does: answers compare with the reference."""
        return trial.number == REFERENCE_TRIAL and self.view.request.target_loss is None

    def _reference_on(self) -> Iterator[Train]:
        """Yield the reference's next rung towards the target that another trial has reached."""
        reference = self.trials.all[REFERENCE_TRIAL]
        is_done = reference.time_to_target_s is not None or REFERENCE_TRIAL in self._busy
        is_done |= reference.reaches(self.schedule.horizon_s)
        is_done |= self.view.profile.has_unsaved_state
        if self.trials.shortest_time_to_target_s is not None and reference.is_sound and not is_done:
            growth = self._tuning.growths[0]
            yield self._further(reference, min(growth * reference.end_s, self.schedule.horizon_s))

    def _contested(self) -> Iterator[Train]:
        """Yield trainings, from other seeds, of those that may yet be the best."""
        contenders = self.ranking.seed_variance.contenders(self.trials.all)
        if len(contenders) > 1:
            yield from self._replicates(contenders, self._tuning.max_trainings)

    def _replicated(self) -> Iterator[Train]:
        """Yield trainings, from other seeds, of the best and of the reference."""
        contenders = self.ranking.seed_variance.contenders(self.trials.all)
        reference = self.trials.all[REFERENCE_TRIAL]
        yield from self._replicates(contenders, self._tuning.trusted_trainings)
        if contenders and reference.time_to_target_s is not None:
            yield from self._replicates([reference], self._tuning.trusted_trainings)

    def _replicates(self, trials: Sequence[Trial], most: int) -> Iterator[Train]:
        for trial in trials:
            if 1 + len(trial.replicates_s) < most and trial.number not in self._busy:
                yield self._replicate(trial)

    def _replicate(self, trial: Trial) -> Train:
        """Return one training more of a trial that has reached the target."""
        return self.schedule.rung(
            split=trial.split,
            learning_rate=trial.learning_rate,
            trial=trial.number,
            origin=trial.origin,
            end_s=self._tuning.replicate_slack * (trial.time_to_target_s or trial.end_s),
            replicate=1 + len(trial.replicates_s),
        )

    def _first_affordable(self, rungs: Iterator[Train]) -> Train | None:
        return next((rung for rung in rungs if self.schedule.is_affordable(rung)), None)

    def _is_known(self, point: Point) -> bool:
        tolerance = self._tuning.same_rate_tolerance
        return any(
            known.effective_batch_size == point.effective_batch_size
            and abs(known.lr_multiplier / point.lr_multiplier - 1) < tolerance
            for known in self.trials.begun
        )

    @property
    def can_train(self) -> bool:
        """Whether the reference recipe can be trained, and judged by its loss."""
        profile = self.view.profile
        return (
            self.view.device.present
            and not profile.is_synthetic
            and profile.evaluation_size > 0
            and self.cost.split(self.batches.reference) is not None
        )

    def _reference_run(self) -> Train | None:
        split = self.cost.split(self.batches.reference)
        if split is None:
            return None
        return self.schedule.rung(
            split=self._halved(split),
            learning_rate=reference_learning_rate(self.view),
            trial=None,
            origin=None,
            end_s=self.schedule.entry_s,
            measure_noise=True,
        )

    def _halved(self, split: Split) -> Split:
        """Return two micro-batches in place of one: they give gradient norms at two batch sizes.

        Not where a batch must not be divided: halves have other gradients.
        """
        if is_indivisible(self.view):
            return split
        least = 2 if self.view.profile.batch_norm_layer_count else 1
        micro = split.micro_batch_size
        if split.accumulation_steps > 1 or micro % 2 or micro < 2 * least:
            return split
        return Split(micro // 2, 2, split.world_size)


def is_of_trial(command: Command) -> bool:
    """Return whether a command trains a trial, while which those of others may be trained.

    The reference's first training is none: noise scale, slowdown and all trials depend on it.
    """
    return isinstance(command, Train) and command.trial is not None
