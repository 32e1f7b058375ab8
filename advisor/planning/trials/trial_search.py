"""The trunk and its search: the reference recipe, then trials, judged at equal modelled time.

Every trial trains from the same fresh weights on the same order of samples, in stretches that
end at modelled times, each twice the one before, or less where the budget leaves no more. The
trunk, on which the noise scale is measured, is the reference recipe's first stretch; the
reference is trial 0.

What promises most is tried first, for a first stretch alone; when it was, the leaders are trained
for twice as long, which moves what promises most. Once one has come to the target, no other is
trained for much longer than that took. Late in the search what may yet be the best is trained from
other weights, to tell merit from luck, before settings beside it are tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.advice import Refusal
from bsadvise.model.commands import Command, Evaluate, Train
from bsadvise.model.measurements import Evaluation

from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.evidence.refusals import refuse
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.ranking import Ranking
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.trials.suggest import Suggester
from advisor.planning.trials.trials import REFERENCE_TRIAL, Trial, Trials
from advisor.ports.proposer import Point, Proposer, Suggestion

_ARRIVAL_SLACK = 1.25
"""Once a trial has come to the target, others get so many times its seconds."""

_LEADERS = 3
_CLEARLY_BEHIND = 0.7
"""How many trials go deeper at a time, none of them farther behind the best, in doublings."""

_GROWTHS = (2.0, 2**0.5, 2**0.25)
"""How many times as long a leader is trained, the most that the budget leaves."""
_FIRST_SHARES = (1.0, 2**-0.5, 0.5)
"""The share of a first stretch that a trial begins with, the most that the budget leaves.

Both are few and fixed, so that a budget that a busy machine nibbles at plans the same.
"""

_TRAININGS = 3
_MOST_TRAININGS = 5
"""How often a setting is trained to be trusted, and at most while others contend."""
_REPLICATE_SLACK = 2.0
"""A replicate may take so many times the seconds that its setting took at first."""


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
        """The batches worth a thought."""
        return self.view.model(BatchSizes)

    def next_command(self, proposer: Proposer) -> Train | Evaluate | Refusal | None:
        """Return what to train next; None when another trial would not be worth its time."""
        if not self._can_train():
            return None
        evaluations = list(self.view.entries(Evaluate))
        if not evaluations:
            return Evaluate(
                evaluation_batch_size=self.schedule.evaluation_batch_size,
                time_limit_s=hook_limit_s(self.view),
            )
        command, entry = evaluations[0]
        if not isinstance(entry.outcome, Evaluation):
            return refuse(command, entry.outcome)
        if not self.trials.all:
            return self._reference_run()
        return self._next_training(proposer)

    def is_short(self, trial: Trial) -> bool:
        """Return whether a trial was not trained as far as it might have been."""
        return trial.arrival_s is None and not trial.reaches(self.schedule.horizon_s)

    @property
    def is_unfinished(self) -> bool:
        """Whether leaders would be trained on, were there time for it."""
        return next(self._deepened(), None) is not None

    def _next_training(self, proposer: Proposer) -> Train | Refusal | None:
        reference = self.trials.all[REFERENCE_TRIAL]
        if reference.fault is not None and not reference.runs:
            command, entry = next(iter(self.view.entries(Train)))
            return refuse(command, entry.outcome)
        if self.view.request.max_trials == 0:
            return None
        return (
            self._promising(proposer)
            or self._first_affordable(self._deepened())
            or (self._first_affordable(self._contested()) if self.schedule.is_late else None)
            or self._spread(proposer)
            or self._first_affordable(self._reference_on())
            or self._first_affordable(self._replicated())
        )

    def _promising(self, proposer: Proposer) -> Train | None:
        """Return the first stretch of the trial that promises most; None when it was tried."""
        suggestion = self.suggester.promising(proposer)
        return None if suggestion is None else self._begun(suggestion)

    def _spread(self, proposer: Proposer) -> Train | None:
        """Return the first stretch of a trial beside the best; None when there are enough."""
        suggestion = self.suggester.neighbouring(proposer)
        return None if suggestion is None else self._begun(suggestion)

    @cached_property
    def suggester(self) -> Suggester:
        """What suggests the next setting."""
        return Suggester(self.ranking, self.batches)

    @cached_property
    def _busy(self) -> frozenset[int]:
        """Numbers of the trials that are being trained now."""
        running = (command for command in self.view.running if isinstance(command, Train))
        return frozenset(command.trial or REFERENCE_TRIAL for command in running)

    @property
    def _next_number(self) -> int:
        """The number of the next new trial: above all that were ever given."""
        return 1 + max((*self._busy, *(trial.number for trial in self.trials.all)))

    def _begun(self, suggestion: Suggestion) -> Train | None:
        """Return the first stretch of another trial; None when it cannot be begun."""
        number, most = self._next_number, self.view.request.max_trials
        point = suggestion.point
        split = self.cost.split(self.batches.divisible(point.effective_batch_size))
        is_full = most is not None and number >= most
        if is_full or split is None or self._is_known(point):
            return None
        first_s = min(self.schedule.first_stretch_s(self.cost.step_time_s(split)), self._last_s)
        return self._first_affordable(
            self.schedule.stretch(
                split=split,
                learning_rate=self.trials.learning_rate(point),
                trial=number,
                origin=suggestion.origin,
                end_s=share * first_s,
            )
            for share in _FIRST_SHARES
        )

    @cached_property
    def _last_s(self) -> float:
        """Modelled seconds after which a trial is trained no further.

        One that has not come to the target by the time that another has is worse.
        """
        horizon_s, soonest_s = self.schedule.horizon_s, self.trials.soonest_s
        return horizon_s if soonest_s is None else min(_ARRIVAL_SLACK * soonest_s, horizon_s)

    def _deepened(self) -> Iterator[Train]:
        """Yield the next stretches of the leaders, the longest first, then the shallowest."""
        best = self.ranking.best
        if best is None:
            return
        behind = {
            trial.number: self._behind(best, trial) for trial in self.trials.all if trial.is_sound
        }
        rivals = sorted(behind, key=lambda number: behind[number])[:_LEADERS]
        leaders = [n for n in rivals if behind[n] <= _CLEARLY_BEHIND]
        worth = sorted(
            (round(2 * math.log2(trial.end_s)), behind[trial.number], trial.number, trial)
            for trial in self.trials.all
            if self._can_go_on(trial) and (trial.number in leaders or self._is_kept(trial))
        )
        for growth in _GROWTHS:
            for *_, trial in worth:
                yield self._further(trial, min(growth * trial.end_s, self._last_s))

    def _behind(self, best: Trial, trial: Trial) -> float:
        """Return by how many doublings a trial is behind; no exact figure for those that end."""
        if trial is best:
            return 0.0
        within = math.inf if self._is_kept(trial) else _CLEARLY_BEHIND
        return max(0.0, self.ranking.lead(best, trial, within=within))

    def _further(self, trial: Trial, end_s: float) -> Train:
        """Return the stretch that takes a trial on to ``end_s``."""
        # Halves of a batch would be another model where it is normalised; the trunk is enough.
        has_norm = self.view.profile.batch_norm_layer_count > 0
        counts_noise = trial.number == REFERENCE_TRIAL and not has_norm
        return self.schedule.stretch(
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
        # The trunk may take a share of the time only: that it was cut is no want of time.
        return (
            trial.is_sound
            and trial.number not in self._busy
            and (trial.number == REFERENCE_TRIAL or not trial.was_cut)
            and trial.arrival_s is None
            and not trial.reaches(self._last_s)
        )

    def _is_kept(self, trial: Trial) -> bool:
        """Return whether a trial goes on however it does: where the reference is headed counts."""
        return trial.number == REFERENCE_TRIAL and self.view.request.target_loss is None

    def _reference_on(self) -> Iterator[Train]:
        """Yield the reference's way on to the target that another trial has come to."""
        reference = self.trials.all[REFERENCE_TRIAL]
        is_done = reference.arrival_s is not None or reference.reaches(self.schedule.horizon_s)
        is_done |= REFERENCE_TRIAL in self._busy
        if self.trials.soonest_s is not None and reference.is_sound and not is_done:
            yield self._further(reference, min(2 * reference.end_s, self.schedule.horizon_s))

    def _contested(self) -> Iterator[Train]:
        """Yield trainings, from other weights, of those that may yet be the best."""
        contenders = self.ranking.luck.contenders(self.trials.all)
        if len(contenders) > 1:
            yield from self._replicates(contenders, _MOST_TRAININGS)

    def _replicated(self) -> Iterator[Train]:
        """Yield trainings, from other weights, of the best and of the reference."""
        contenders = self.ranking.luck.contenders(self.trials.all)
        reference = self.trials.all[REFERENCE_TRIAL]
        yield from self._replicates(contenders, _TRAININGS)
        if contenders and reference.arrival_s is not None:
            yield from self._replicates([reference], _TRAININGS)

    def _replicates(self, trials: Sequence[Trial], most: int) -> Iterator[Train]:
        for trial in trials:
            if 1 + len(trial.replicates_s) < most and trial.number not in self._busy:
                yield self._replicate(trial)

    def _replicate(self, trial: Trial) -> Train:
        """Return one training more of a trial that has arrived."""
        return self.schedule.stretch(
            split=trial.split,
            learning_rate=trial.learning_rate,
            trial=trial.number,
            origin=trial.origin,
            end_s=_REPLICATE_SLACK * (trial.arrival_s or trial.end_s),
            replicate=1 + len(trial.replicates_s),
        )

    def _first_affordable(self, stretches: Iterator[Train]) -> Train | None:
        return next((s for s in stretches if self.schedule.is_affordable(s)), None)

    def _is_known(self, point: Point) -> bool:
        return any(
            known.effective_batch_size == point.effective_batch_size
            and abs(known.lr_multiplier / point.lr_multiplier - 1) < 0.02
            for known in self.trials.begun
        )

    def _can_train(self) -> bool:
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
        return self.schedule.stretch(
            split=self._halved(split),
            learning_rate=reference_learning_rate(self.view),
            trial=None,
            origin=None,
            end_s=self.schedule.entry_s,
            measure_noise=True,
        )

    def _halved(self, split: Split) -> Split:
        """Return two micro-batches in place of one: they give gradient norms at two batch sizes."""
        least = 2 if self.view.profile.batch_norm_layer_count else 1
        micro = split.micro_batch_size
        if split.accumulation_steps > 1 or micro % 2 or micro < 2 * least:
            return split
        return Split(micro // 2, 2, split.world_size)


def is_of_trial(command: Command) -> bool:
    """Return whether a command trains a trial, beside which those of others may be trained.

    The reference's first training is none: noise scale, slowdown and all trials rest on it.
    """
    return isinstance(command, Train) and command.trial is not None
