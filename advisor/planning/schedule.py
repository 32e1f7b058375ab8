"""How far and at what cost trials are trained: rungs, stretches and what is affordable.

Rungs are modelled times, each twice the one before. A stretch is the training from one rung to
the next, one command.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from advisor.domain.commands import Evaluate, Train, TrialOrigin
from advisor.domain.measurements import TrainRun
from advisor.planning.budget import VERIFY_SHARE, hook_limit_s
from advisor.planning.facts import Facts
from advisor.planning.split import Split
from advisor.planning.step_cost import StepCost

RUNG_COUNT = 4

_HORIZONS_PER_BUDGET = 5.0
"""The last rung is the time for trials over this: some ten trials begin, the
best half of them go on at each rung."""

_TRUNK_SHARE = 0.25
"""Share of the time for trials after which the trunk is cut short on a machine that is busy."""
_LEAST_STRETCH_S = 0.1

_EVALUATION_BATCH_SIZE = 256
_EVALUATION_SHARE = 0.2
"""Looks at the loss within a stretch may take this share of its time."""
_LEAST_HALVINGS, _HALVINGS = 2, 5
"""The earliest look is at so many halvings of the first stretch."""


@dataclass(frozen=True)
class Schedule:
    """The rungs of a recommendation's trials.

    Attributes:
        facts: The log so far, with timed steps.
    """

    facts: Facts

    @property
    def horizon_s(self) -> float:
        """Modelled seconds at the last rung."""
        return self.trials_s / _HORIZONS_PER_BUDGET

    @cached_property
    def trials_s(self) -> float:
        """Seconds for all trials together; settled when the first training begins."""
        before_s = 0.0
        for entry in self.facts.log:
            if isinstance(entry.command, Train):
                break
            before_s += entry.wall_s
        left_s = self.facts.request.budget_s - before_s - self.reserve_s
        return max(left_s, 0.0)

    @property
    def spent_on_trials_s(self) -> float:
        """Seconds that trials have taken so far."""
        return sum(entry.wall_s for _, entry in self.facts.entries(Train))

    @cached_property
    def reserve_s(self) -> float:
        """Seconds of the budget to keep for verification."""
        return VERIFY_SHARE * self.facts.request.budget_s + self.facts.loading_s()

    @property
    def evaluation_batch_size(self) -> int:
        """Samples a batch of the held-out measure: no more than was seen to run."""
        curve = self.facts.step_times
        return min(_EVALUATION_BATCH_SIZE, max(curve.step_times_s) if curve else 1)

    def steps_to(self, rung: int, step_time_s: float) -> int:
        """Return the optimizer steps from fresh weights to a rung; 0 for rung -1."""
        if rung < 0:
            return 0
        rung_s: float = self.horizon_s / 2 ** (RUNG_COUNT - 1 - rung)
        return max(rung + 1, round(rung_s / step_time_s))

    def stretch(
        self,
        *,
        split: Split,
        learning_rate: float,
        trial: int | None,
        rung: int,
        origin: TrialOrigin | None,
        measure_noise: bool = False,
    ) -> Train:
        """Return the training from the rung before to ``rung``.

        Args:
            split: The batch. W replicas become W times the micro-batches on one device.
            learning_rate: η.
            trial: Number of the trial; None for the trunk, which is the reference's first.
            rung: Where to end.
            origin: Why the trial is run.
            measure_noise: Whether to collect gradient norms.
        """
        cost = StepCost(self.facts)
        step_time_s = cost.step_time_s(cost.split(split.effective_batch_size) or split)
        begun = self.steps_to(rung - 1, step_time_s)
        step_count = self.steps_to(rung, step_time_s) - begun
        number = trial or 0
        return Train(
            micro_batch_size=split.micro_batch_size,
            accumulation_steps=split.accumulation_steps * split.world_size,
            learning_rate=learning_rate,
            step_count=step_count,
            evaluation_batch_size=self.evaluation_batch_size,
            evaluation_steps=self._evaluation_steps(rung, step_count, step_count * step_time_s),
            first_sample=begun * split.effective_batch_size,
            start_checkpoint=f"trial-{number}-rung-{rung - 1}" if rung else None,
            save_checkpoint=f"trial-{number}-rung-{rung}" if rung < RUNG_COUNT - 1 else None,
            measure_noise=measure_noise,
            trial=trial,
            rung=rung,
            origin=origin,
            stop_after_s=self._stop_after_s(is_first=trial is None),
            time_limit_s=hook_limit_s(self.facts.request) + self.facts.request.budget_s,
        )

    def _stop_after_s(self, *, is_first: bool) -> float:
        """Return the real seconds that a stretch may take, however slow its steps turn out."""
        left_s = max(self.facts.remaining_s - self.reserve_s, _LEAST_STRETCH_S)
        return (
            min(left_s, max(_TRUNK_SHARE * self.trials_s, _LEAST_STRETCH_S)) if is_first else left_s
        )

    def _evaluation_steps(self, rung: int, step_count: int, modelled_s: float) -> tuple[int, ...]:
        """Return where within a stretch to look at the loss, at times that halve back to it.

        A task that is learnt within the first stretch would otherwise show one point only. No
        more are taken than cost a share of the stretch.
        """
        most = _HALVINGS if rung == 0 else 1
        if self._evaluation_s > 0:
            affordable = int(_EVALUATION_SHARE * modelled_s / self._evaluation_s)
            most = min(most, max(affordable, _LEAST_HALVINGS if rung == 0 else 0))
        marks = {step_count >> halving for halving in range(1, most + 1)}
        return tuple(sorted(marks - {0, step_count}))

    def is_affordable(self, command: Train) -> bool:
        """Return whether a training should end before verification must begin.

        The first one always is: with it the answer begins, and it is short.
        """
        expected_s = self._modelled_s(command) * self._slowdown + self._evaluation_s
        return expected_s + self.reserve_s <= self.facts.remaining_s

    @cached_property
    def _slowdown(self) -> float:
        """Real over modelled seconds of the trainings so far; 0 before there were any."""
        real_s = modelled_s = 0.0
        for command, entry in self.facts.entries(Train):
            if isinstance(entry.outcome, TrainRun):
                real_s += max(0.0, entry.wall_s - self._evaluation_s)
                modelled_s += self._modelled_s(command)
        return real_s / modelled_s if modelled_s else 0.0

    def _modelled_s(self, command: Train) -> float:
        split = Split(command.micro_batch_size, command.accumulation_steps, 1)
        return command.step_count * StepCost(self.facts).step_time_s(split)

    @cached_property
    def _evaluation_s(self) -> float:
        return min((entry.wall_s for _, entry in self.facts.entries(Evaluate)), default=0.0)
