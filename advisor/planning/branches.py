"""The trunk and its branches: the reference recipe, then trials, judged at equal modelled time.

Every trial trains from the same fresh weights on the same order of samples, in stretches that
end at rungs: modelled times, each twice the one before. The trunk, on which the noise scale is
measured, is the reference recipe's first stretch; the reference is trial 0.

First the trials are spread: settings along the ridge, then a few from the sampler, each to the
first rung alone. Then they are deepened: rung by rung, those that the proposer does not prune
go on, and the reference with them. What the deeper rungs show moves the ridge, and what time
is left goes to settings along it, and again deeper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from advisor.domain.advice import Refusal
from advisor.domain.commands import Evaluate, Train, TrialOrigin
from advisor.domain.measurements import Evaluation
from advisor.planning.batch_sizes import BatchSizes
from advisor.planning.budget import hook_limit_s
from advisor.planning.facts import Facts
from advisor.planning.reference import reference_learning_rate
from advisor.planning.refusals import refuse
from advisor.planning.ridge import Bounds, next_at_rate, next_on_ridge
from advisor.planning.schedule import RUNG_COUNT, Schedule
from advisor.planning.split import Split
from advisor.planning.step_cost import StepCost
from advisor.planning.trials import REFERENCE_TRIAL, Trials
from advisor.ports.proposer import Point, Proposer, Study

_SPREAD_SHARE = 0.4
"""Share of the time for trials after which those that there are go deeper first."""
_SAMPLED_TRIALS = 6
"""How many settings the sampler adds to those along the ridge."""
_NEIGHBOURHOOD = 4.0
"""The sampler looks within this factor of the best setting, in batch and in multiplier."""

_CHEAP = 2.0
"""A larger batch at the same rate is tried if its step takes at most this many times as long."""

_MULTIPLIERS = (1 / 64, 64.0)
_MULTIPLIER_FACTOR = {True: 3.0, False: 4.0}
"""By whether the user named a learning rate to begin from."""
_BATCH_FACTOR = 4.0


@dataclass(frozen=True)
class Branches:
    """The trials of a log and what should be trained next.

    Attributes:
        facts: The log so far, with timed steps.
    """

    facts: Facts

    @cached_property
    def trials(self) -> Trials:
        """The trials so far."""
        return Trials(self.facts)

    @cached_property
    def cost(self) -> StepCost:
        """What steps cost."""
        return StepCost(self.facts)

    @cached_property
    def schedule(self) -> Schedule:
        """The rungs."""
        return Schedule(self.facts)

    @cached_property
    def batches(self) -> BatchSizes:
        """The batches worth a thought."""
        return BatchSizes(self.facts)

    @cached_property
    def bounds(self) -> Bounds:
        """Where settings may lie."""
        sizes = self.batches.worth_trying()
        has_rate = self.facts.profile.reference_learning_rate is not None
        return Bounds(
            smallest_batch_size=min(sizes),
            largest_batch_size=max(sizes),
            smallest_multiplier=_MULTIPLIERS[0],
            largest_multiplier=_MULTIPLIERS[1],
            multiplier_factor=_MULTIPLIER_FACTOR[has_rate],
            batch_factor=_BATCH_FACTOR,
            multiple=self.facts.request.world_size,
        )

    def next_command(self, proposer: Proposer) -> Train | Evaluate | Refusal | None:
        """Return what to train next; None when another trial would not be worth its time."""
        if not self._can_train():
            return None
        evaluations = list(self.facts.entries(Evaluate))
        if not evaluations:
            return Evaluate(
                evaluation_batch_size=self.schedule.evaluation_batch_size,
                time_limit_s=hook_limit_s(self.facts.request),
            )
        command, entry = evaluations[0]
        if not isinstance(entry.outcome, Evaluation):
            return refuse(command, entry.outcome)
        if not self.trials.all:
            return self._trunk()
        return self._branch(proposer)

    def study(self, bounds: Bounds) -> Study:
        """Return the trials as a proposer sees them, within ``bounds``."""
        return Study(
            smallest_batch_size=bounds.smallest_batch_size,
            largest_batch_size=bounds.largest_batch_size,
            smallest_multiplier=bounds.smallest_multiplier,
            largest_multiplier=bounds.largest_multiplier,
            trials=tuple(trial.record(last_rung=RUNG_COUNT - 1) for trial in self.trials.all),
            seed=self.facts.request.seed,
        )

    def _branch(self, proposer: Proposer) -> Train | Refusal | None:
        reference = self.trials.all[REFERENCE_TRIAL]
        if reference.fault is not None and not reference.runs:
            command, entry = next(iter(self.facts.entries(Train)))
            return refuse(command, entry.outcome)
        if self.facts.request.max_trials == 0:
            return None
        is_early = self.schedule.spent_on_trials_s <= _SPREAD_SHARE * self.schedule.trials_s
        return (
            (self._spread(proposer) if is_early else None)
            or self._deepen(proposer)
            or self._spread(proposer)
        )

    def _spread(self, proposer: Proposer) -> Train | None:
        """Return the first stretch of another trial; None when there are enough."""
        trials, most = self.trials.all, self.facts.request.max_trials
        if most is not None and len(trials) >= most:
            return None
        proposal = self._next_point(proposer)
        if proposal is None:
            return None
        point, origin = proposal
        split = self.cost.split(self.batches.divisible(point.effective_batch_size))
        if split is None or self._is_known(point):
            return None
        stretch = self.schedule.stretch(
            split=split,
            learning_rate=self.trials.learning_rate(point),
            trial=len(trials),
            rung=0,
            origin=origin,
        )
        return stretch if self.schedule.is_affordable(stretch) else None

    def _deepen(self, proposer: Proposer) -> Train | None:
        """Return the next stretch of the trial that is worth it; None when none is.

        The shallowest first, so that at each rung the pruning knows all that come to it.
        """
        study = self.study(self.bounds)
        worth = [
            trial
            for index, trial in enumerate(self.trials.all)
            if trial.is_sound
            and not trial.was_cut
            and trial.rung < RUNG_COUNT - 1
            and (trial.number == REFERENCE_TRIAL or not proposer.should_prune(study, index))
        ]
        for trial in sorted(worth, key=lambda trial: (trial.rung, trial.loss_at(trial.rung))):
            stretch = self.schedule.stretch(
                split=trial.split,
                learning_rate=trial.learning_rate,
                trial=trial.number,
                rung=trial.rung + 1,
                origin=trial.origin,
            )
            if self.schedule.is_affordable(stretch):
                return stretch
        return None

    def _neighbourhood(self) -> Bounds:
        """Return the bounds within which the sampler looks: about the best trial."""
        best = self.trials.best()
        if best is None:
            return self.bounds
        bounds, point = self.bounds, best.point
        return replace(
            bounds,
            smallest_batch_size=max(
                bounds.smallest_batch_size, int(point.effective_batch_size / _NEIGHBOURHOOD)
            ),
            largest_batch_size=min(
                bounds.largest_batch_size, int(point.effective_batch_size * _NEIGHBOURHOOD)
            ),
            smallest_multiplier=point.lr_multiplier / _NEIGHBOURHOOD,
            largest_multiplier=point.lr_multiplier * _NEIGHBOURHOOD,
        )

    def _next_point(self, proposer: Proposer) -> tuple[Point, TrialOrigin] | None:
        trials = self.trials.all
        point = next_on_ridge(trials, self.bounds, self.batches.predicted())
        if point is not None:
            is_predicted = point.effective_batch_size == self.batches.predicted()
            return point, TrialOrigin.PREDICTION if is_predicted else TrialOrigin.RIDGE
        point = next_at_rate(trials, self.bounds, self.trials.scaled_rate)
        if point is not None and self._is_cheap(point):
            return point, TrialOrigin.RIDGE
        sampled = sum(trial.origin is TrialOrigin.SAMPLER for trial in trials)
        if sampled >= _SAMPLED_TRIALS:
            return None
        return proposer.propose(self.study(self._neighbourhood())), TrialOrigin.SAMPLER

    def _is_cheap(self, point: Point) -> bool:
        """Return whether a step of ``point`` costs little more than one of the best trial."""
        best = self.trials.best()
        split = self.cost.split(self.batches.divisible(point.effective_batch_size))
        if best is None or split is None:
            return False
        return self.cost.step_time_s(split) <= _CHEAP * self.cost.step_time_s(best.split)

    def _is_known(self, point: Point) -> bool:
        return any(
            trial.point.effective_batch_size == point.effective_batch_size
            and abs(trial.point.lr_multiplier / point.lr_multiplier - 1) < 0.02
            for trial in self.trials.all
        )

    def _can_train(self) -> bool:
        profile = self.facts.profile
        return (
            self.facts.device.present
            and not profile.is_synthetic
            and profile.evaluation_size > 0
            and self.cost.split(self.batches.reference) is not None
        )

    def _trunk(self) -> Train | None:
        split = self.cost.split(self.batches.reference)
        if split is None:
            return None
        micro, accumulation = split.micro_batch_size, split.accumulation_steps
        least = 2 if self.facts.profile.batch_norm_layer_count else 1
        if split.accumulation_steps == 1 and micro % 2 == 0 and micro >= 2 * least:
            # Two micro-batches in place of one give the gradient norms at two batch sizes.
            micro, accumulation = micro // 2, 2
        return self.schedule.stretch(
            split=Split(micro, accumulation, split.world_size),
            learning_rate=reference_learning_rate(self.facts),
            trial=None,
            rung=0,
            origin=None,
            measure_noise=accumulation * split.world_size > 1,
        )
