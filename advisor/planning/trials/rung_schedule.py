"""How far trials are trained: stretches, and which of them are affordable.

A trial is trained in stretches, each one command, which end at modelled times that double
while the budget allows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.commands import Train, TrialOrigin

from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.wall_clock import WallClock

_TRIALS_SHARE = 0.75
_SEARCH_SHARE = 0.6
"""Share of the time for trials after which no setting is tried for what it might teach."""
_HORIZONS_PER_BUDGET = 2.5
"""No trial is trained for longer than the time for all trials over this."""
_ENTRIES_PER_HORIZON = 4.0
"""The reference's first stretch is so much shorter."""
_GROWTH = 0.25
"""Later first stretches take this share of what was spent: what is tried late is compared with what
has been trained for long."""

_LEAST_ENTRY_STEPS = 6
"""In fewer steps a setting shows nothing."""

_TRUNK_SHARE = 0.25
"""Share of the time for trials after which the trunk is cut short on a machine that is busy."""
_LEAST_STRETCH_S = 0.1

_EVALUATION_BATCH_SIZE = 256
_EVALUATION_SHARE = 0.15
"""Looks at the loss within a stretch may take this share of its time."""
_LEAST_LOOKS = 1
_LOOK_FACTOR = 2**0.25
"""Looks are apart by this factor in time, or by a power of it where they are dear."""
_EARLIEST_LOOK = 1 / 32
"""The earliest look, as a share of a trial's first stretch."""


@dataclass(frozen=True)
class RungSchedule:
    """The stretches of a recommendation's trials.

    Attributes:
        view: The log so far, with timed steps.
    """

    view: LogView

    @property
    def horizon_s(self) -> float:
        """Modelled seconds after which a trial is trained no further."""
        return self.trials_s / _HORIZONS_PER_BUDGET

    @cached_property
    def entry_s(self) -> float:
        """Modelled seconds of a trial's first stretch; it holds a few steps of the reference."""
        cost = self.view.model(StepCost)
        split = cost.split(reference_batch_size(self.view))
        least_s = 0.0 if split is None else _LEAST_ENTRY_STEPS * cost.step_time_s(split)
        return max(self.horizon_s / _ENTRIES_PER_HORIZON, least_s)

    def first_stretch_s(self, step_time_s: float) -> float:
        """Return the modelled seconds of a new trial's first stretch, by the time of a step."""
        return max(
            self.entry_s,
            _GROWTH * self.pace.spent_s,
            _LEAST_ENTRY_STEPS * step_time_s,
        )

    @cached_property
    def trials_s(self) -> float:
        """Seconds for all trials together; settled when the first training has ended.

        A fixed share of the budget, or that halved as often as it takes to fit into what is
        left, and as often as the trunk fell short: a machine that is a little busier plans the
        same trials, and one that is much slower plans shorter ones.
        """
        before_s = 0.0
        for entry in self.view.log:
            if isinstance(entry.command, Train):
                break
            before_s += entry.wall_s
        left_s = self.view.request.budget_s - before_s - self.reserve_s
        share_s = _TRIALS_SHARE * self.view.request.budget_s
        while share_s > max(left_s, _LEAST_STRETCH_S):
            share_s /= 2
        return math.ldexp(share_s, -self.pace.trunk_halvings)

    @cached_property
    def pace(self) -> WallClock:
        """What trainings take."""
        return self.view.model(WallClock)

    @property
    def is_late(self) -> bool:
        """Whether it is time to make sure of what was found rather than to look for more."""
        return self.pace.spent_s > _SEARCH_SHARE * self.trials_s

    @cached_property
    def reserve_s(self) -> float:
        """Seconds of the budget to keep for verification."""
        share = self.view.tuning.evidence.seconds.verification_share
        return share * self.view.request.budget_s + self.view.loading_s()

    @cached_property
    def _left_s(self) -> float:
        """Seconds of the budget that are left once what is being trained now has ended."""
        running = (command for command in self.view.running if isinstance(command, Train))
        return self.view.remaining_s - sum(map(self.pace.expected_s, running))

    @property
    def evaluation_batch_size(self) -> int:
        """Samples a batch of the held-out measure: no more than was seen to run."""
        curve = self.view.step_times
        return min(_EVALUATION_BATCH_SIZE, max(curve.step_times_s) if curve else 1)

    def stretch(
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
            trial: Number of the trial; None for the trunk, which is the reference's first.
            origin: Why the trial is run.
            end_s: Modelled seconds from fresh weights to its end.
            begun: Optimizer steps that the trial has taken.
            ordinal: How many stretches the trial has had.
            replicate: Which weights and data order.
            measure_noise: Whether to collect gradient norms, where there are two micro-batches.
        """
        cost = self.view.model(StepCost)
        step_time_s = cost.step_time_s(cost.split(split.effective_batch_size) or split)
        step_count = max(1, round(end_s / step_time_s) - begun)
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
            time_limit_s=hook_limit_s(self.view) + self.view.request.budget_s,
        )

    def _stop_after_s(self, *, is_first: bool) -> float:
        """Return the real seconds that a stretch may take, however slow its steps turn out."""
        left_s = max(self._left_s - self.reserve_s, _LEAST_STRETCH_S)
        return (
            min(left_s, max(_TRUNK_SHARE * self.trials_s, _LEAST_STRETCH_S)) if is_first else left_s
        )

    def _evaluation_steps(self, begun: int, step_count: int, step_time_s: float) -> tuple[int, ...]:
        """Return where within a stretch to look at the loss, at times that grow by a factor.

        A task that is learnt within the first stretch would otherwise show one point only. No
        more are taken than cost a share of the stretch.
        """
        end = begun + step_count
        begin = max(begun, _EARLIEST_LOOK * end)
        most = float(_LEAST_LOOKS)
        look_s = self.pace.look_s
        if look_s > 0:
            share_s = _EVALUATION_SHARE * step_count * step_time_s
            most = max(most, share_s / look_s)
        factor = _LOOK_FACTOR
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
        return self.pace.expected_s(command) + self.reserve_s <= self._left_s
