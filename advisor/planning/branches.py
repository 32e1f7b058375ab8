"""The trunk and its branches: the reference recipe, then trials, judged at equal modelled time.

Every trial trains from the same fresh weights on the same order of samples, in stretches that
end at rungs: modelled times, each twice the one before. The trunk, on which the noise scale is
measured, is the reference recipe's first stretch; the reference is trial 0.

First the trials are spread: settings along the ridge, then a few from the sampler, each to the
first rung alone. Then they are deepened: rung by rung, those that the proposer does not prune
go on, and the reference with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from advisor.domain.advice import Refusal
from advisor.domain.commands import Evaluate, Train, TrialOrigin
from advisor.domain.measurements import Evaluation, TrainRun
from advisor.estimators.efficiency import fastest_batch_size
from advisor.estimators.noise_scale import NoiseScale, estimate_noise_scale
from advisor.planning.budget import hook_limit_s
from advisor.planning.facts import Facts
from advisor.planning.memory import LEAST_BATCHES_PER_EPOCH
from advisor.planning.refusals import refuse
from advisor.planning.ridge import Bounds, next_on_ridge
from advisor.planning.schedule import RUNG_COUNT, Schedule
from advisor.planning.split import Split
from advisor.planning.step_cost import StepCost
from advisor.planning.throughput import reference_batch_size
from advisor.planning.trials import (
    REFERENCE_TRIAL,
    Trials,
    reference_learning_rate,
)
from advisor.ports.proposer import Point, Proposer, Study

_LEAST_STEPS = 4
"""A batch is tried only if the first rung holds this many of its steps."""

_SPREAD_SHARE = 0.5
"""Share of the time for trials after which no further one is begun."""
_SAMPLED_TRIALS = 4
"""How many settings the sampler adds to those along the ridge."""
_NEIGHBOURHOOD = 4.0
"""The sampler looks within this factor of the best setting, in batch and in multiplier."""

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
    def noise_scale(self) -> NoiseScale | None:
        """𝓑 as the trunk showed it; None when it was not measured."""
        for _, run in self.facts.figures(Train, TrainRun):
            norms = run.gradient_norms
            if norms is not None:
                return estimate_noise_scale(
                    norms.small_batch_size,
                    norms.big_batch_size,
                    norms.small_squared_norms,
                    norms.big_squared_norms,
                )
        return None

    @cached_property
    def reference_split(self) -> Split | None:
        """The reference batch, split; None when it does not fit in any way."""
        return self.cost.split(self._whole(reference_batch_size(self.facts)))

    @cached_property
    def bounds(self) -> Bounds:
        """Where settings may lie."""
        fixed = self.facts.request.effective_batch_size
        world_size = self.facts.request.world_size
        has_rate = self.facts.profile.reference_learning_rate is not None
        sizes = [fixed] if fixed else list(self._batch_sizes())
        return Bounds(
            smallest_batch_size=min(sizes),
            largest_batch_size=max(sizes),
            smallest_multiplier=_MULTIPLIERS[0],
            largest_multiplier=_MULTIPLIERS[1],
            multiplier_factor=_MULTIPLIER_FACTOR[has_rate],
            batch_factor=_BATCH_FACTOR,
            multiple=world_size,
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
        return self._spread(proposer) or self._deepen(proposer)

    def _spread(self, proposer: Proposer) -> Train | None:
        """Return the first stretch of another trial; None when there are enough."""
        trials, most = self.trials.all, self.facts.request.max_trials
        if most is not None and len(trials) >= most:
            return None
        if self.schedule.spent_on_trials_s > _SPREAD_SHARE * self.schedule.trials_s:
            return None
        proposal = self._next_point(proposer)
        if proposal is None:
            return None
        point, origin = proposal
        split = self.cost.split(self._whole(point.effective_batch_size))
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
        point = next_on_ridge(trials, self.bounds, self.predicted_batch_size())
        if point is not None:
            is_predicted = point.effective_batch_size == self.predicted_batch_size()
            return point, TrialOrigin.PREDICTION if is_predicted else TrialOrigin.RIDGE
        sampled = sum(trial.origin is TrialOrigin.SAMPLER for trial in trials)
        if sampled >= _SAMPLED_TRIALS:
            return None
        return proposer.propose(self.study(self._neighbourhood())), TrialOrigin.SAMPLER

    def predicted_batch_size(self) -> int:
        """Return the batch that noise scale and step times point to; B₀ without a noise scale."""
        sizes = list(self._batch_sizes())
        if self.facts.request.effective_batch_size:
            return self.facts.request.effective_batch_size
        if self.noise_scale is None:
            return self._whole(reference_batch_size(self.facts))
        return fastest_batch_size(sizes, self.noise_scale.value, self._step_time_s)

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
            and self.reference_split is not None
        )

    def _trunk(self) -> Train | None:
        split = self.reference_split
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

    def _step_time_s(self, batch_size: int) -> float:
        split = self.cost.split(batch_size)
        return float("inf") if split is None else self.cost.step_time_s(split)

    def _batch_sizes(self) -> Iterable[int]:
        """Yield the effective batches worth a thought: W times powers of two, and B₀."""
        world_size = self.facts.request.world_size
        reference = self._whole(reference_batch_size(self.facts))
        data = self.facts.profile.dataset_size
        largest = max(reference, (data or 1 << 20) // LEAST_BATCHES_PER_EPOCH)
        least = 2 if self.facts.profile.batch_norm_layer_count else 1
        size = least * world_size
        yield reference
        while size <= largest:
            if self.schedule.steps_to(0, self._step_time_s(size)) >= _LEAST_STEPS:
                yield size
            size *= 2

    def _whole(self, batch_size: int) -> int:
        """Return the batch size nearest to ``batch_size`` that W divides."""
        world_size = self.facts.request.world_size
        if self.facts.request.effective_batch_size == batch_size:
            return batch_size
        return max(1, round(batch_size / world_size)) * world_size
