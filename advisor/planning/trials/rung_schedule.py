"""How far trials are trained: rungs, and which of them are affordable.

A trial is trained in rungs, each one command, which end at modelled times that double while the
budget allows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.commands import Train, TrialOrigin

from advisor.domain.limits import COUNT
from advisor.planning.evidence.budget import hook_limit_s, script_run_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size
from advisor.planning.evidence.semantics import is_loss_sum
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.stated_training import StatedTraining
from advisor.planning.trials.wall_clock import WallClock
from advisor.planning.tuning.trials import RungScheduleTuning


@dataclass(frozen=True)
class RungSchedule:
    """The rungs of a recommendation's trials.

    Attributes:
        view: The log so far, with timed steps.
    """

    view: LogView

    @property
    def horizon_s(self) -> float:
        """Modelled seconds after which a trial is trained no further."""
        return self.trials_s / self._tuning.horizons_per_budget

    @cached_property
    def entry_s(self) -> float:
        """Modelled seconds of a trial's first rung; it holds a few steps of the reference."""
        tuning, cost = self._tuning, self.view.model(StepCost)
        split = cost.split(reference_batch_size(self.view))
        steps = tuning.min_first_rung_steps
        least_s = 0.0 if split is None else steps * cost.step_time_s(split)
        is_only_rung = self.view.profile.has_unsaved_state
        rungs = tuning.only_rungs_per_horizon if is_only_rung else tuning.first_rungs_per_horizon
        return max(self.horizon_s / rungs, least_s)

    def first_rung_s(self, step_time_s: float) -> float:
        """Return the modelled seconds of a new trial's first rung, by the time of a step."""
        return max(
            self.entry_s,
            self._tuning.late_first_rung_share * self.wall_clock.spent_s,
            self._tuning.min_first_rung_steps * step_time_s,
        )

    @cached_property
    def trials_s(self) -> float:
        """Seconds for all trials together; settled when the first training has ended.

        A fixed share of the budget, or that halved as often as it takes to fit into what is
        left, and as often as the reference run fell short: a machine that is a little slower
        plans the same trials, and one that is much slower plans shorter ones.
        """
        before_s = 0.0
        for entry in self.view.log:
            if isinstance(entry.command, Train):
                break
            before_s += entry.wall_s
        left_s = self.view.request.budget_s - before_s - self.reserve_s
        share_s = self._tuning.trials_share * self.view.request.budget_s
        training, size = self.view.model(StatedTraining), reference_batch_size(self.view)
        own_s = training.reference_s
        if own_s is not None:
            # What trials at a constant rate say is checked by complete trainings.
            # In a few steps the noise penalty alone would rank them, and prefer ever lower rates.
            reference_s = own_s / training.samples(size) * size
            least_s = self._tuning.min_stated_steps * reference_s
            stated_s = max(self._tuning.stated_share * own_s, least_s)
            share_s = min(self._tuning.constant_rate_share * share_s, stated_s)
        while share_s > max(left_s, self._tuning.min_rung_s):
            share_s /= 2
        return math.ldexp(share_s, -self.wall_clock.reference_halvings)

    @cached_property
    def wall_clock(self) -> WallClock:
        """What trainings take."""
        return self.view.model(WallClock)

    @property
    def _tuning(self) -> RungScheduleTuning:
        return self.view.tuning.trials.rung_schedule

    @property
    def is_late(self) -> bool:
        """Whether it is time to make sure of what was found rather than to look for more."""
        return self.wall_clock.spent_s > self._tuning.exploration_share * self.trials_s

    @cached_property
    def reserve_s(self) -> float:
        """Seconds of the budget to keep for verification, and for the user's own script."""
        share = self.view.tuning.evidence.seconds.verification_share
        verification_s = share * self.view.request.budget_s + self.view.loading_s()
        return verification_s + script_run_s(self.view)

    @cached_property
    def _left_s(self) -> float:
        """Seconds of the budget that are left once what is being trained now has ended."""
        running = (command for command in self.view.running if isinstance(command, Train))
        return self.view.remaining_s - sum(map(self.wall_clock.expected_s, running))

    @property
    def evaluation_batch_size(self) -> int:
        """Samples a batch of the held-out measure: no more than was seen to run."""
        curve, wanted = self.view.step_times, self._tuning.evaluation_batch_size
        return min(wanted, max(curve.step_times_s) if curve else 1)

    def rung(
        self,
        *,
        split: Split,
        learning_rate: float,
        trial: int | None,
        origin: TrialOrigin | None,
        end_s: float,
        begun: int = 0,
        ordinal: int = 0,
        replicate: int = 0,
        measure_noise: bool = False,
    ) -> Train:
        """Return the training that takes a trial to ``end_s``.

        Args:
            split: The batch. W replicas become W times the micro-batches on one device.
            learning_rate: η.
            trial: Number of the trial; None for the reference run, the first rung of trial 0.
            origin: Why the trial is run.
            end_s: Modelled seconds from fresh weights to its end.
            begun: Optimizer steps that the trial has taken.
            ordinal: How many rungs the trial has had.
            replicate: Which weights and data order.
            measure_noise: Whether to collect gradient norms, where there are two micro-batches.
        """
        cost = self.view.model(StepCost)
        step_time_s = cost.step_time_s(cost.split(split.effective_batch_size) or split)
        most_steps = int(COUNT.high) // split.effective_batch_size
        step_count = max(1, min(round(end_s / step_time_s), most_steps) - begun)
        accumulation_steps = split.accumulation_steps * split.world_size
        name = f"trial-{trial or 0}-stretch"
        return Train(
            micro_batch_size=split.micro_batch_size,
            accumulation_steps=accumulation_steps,
            learning_rate=learning_rate,
            step_count=step_count,
            evaluation_batch_size=self.evaluation_batch_size,
            evaluation_steps=self._evaluation_steps(begun, step_count, step_time_s),
            first_sample=begun * split.effective_batch_size,
            start_checkpoint=f"{name}-{ordinal - 1}" if ordinal else None,
            save_checkpoint=None if replicate else f"{name}-{ordinal}",
            measure_noise=measure_noise and accumulation_steps > 1,
            trial=trial,
            rung=ordinal,
            origin=origin,
            stop_after_s=self._stop_after_s(is_first=trial is None),
            target_loss=self.view.request.target_loss,
            replicate=replicate,
            is_loss_sum=is_loss_sum(self.view),
            in_fresh_process=self.view.profile.has_unsaved_state,
            time_limit_s=hook_limit_s(self.view) + self.view.request.budget_s,
        )

    def _stop_after_s(self, *, is_first: bool) -> float:
        """Return the real seconds that a rung may take, however slow its steps turn out."""
        tuning = self._tuning
        left_s = max(self._left_s - self.reserve_s, tuning.min_rung_s)
        if not is_first:
            return left_s
        return min(left_s, max(tuning.reference_share * self.trials_s, tuning.min_rung_s))

    def _evaluation_steps(self, begun: int, step_count: int, step_time_s: float) -> tuple[int, ...]:
        """Return where within a rung to evaluate the loss, at times that grow by a factor.

        The curve of a task that is learnt within the first rung would otherwise be one point. No
        more evaluations are made than take a share of the rung's time.
        """
        tuning, end = self._tuning, begun + step_count
        begin = max(begun, tuning.earliest_evaluation_share * end)
        most = float(tuning.min_evaluations)
        evaluation_s = self.wall_clock.evaluation_s
        if evaluation_s > 0:
            share_s = tuning.evaluation_share * step_count * step_time_s
            most = max(most, share_s / evaluation_s)
        factor = tuning.evaluation_factor
        # A little more than most: two roots of a doubling are a doubling, whatever the rounding.
        while math.log(end / begin) / math.log(factor) > 1.01 * most:
            factor **= 2
        marks, step = set(), end / factor
        while step > begin:
            marks.add(round(step) - begun)
            step /= factor
        return tuple(sorted(mark for mark in marks if 0 < mark < step_count))

    def is_affordable(self, command: Train) -> bool:
        """Return whether a training should end before verification must begin.

        The first one always is: with it the answer begins, and it is short.
        """
        return self.wall_clock.expected_s(command) + self.reserve_s <= self._left_s
