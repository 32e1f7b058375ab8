"""Trials as the log tells them: which settings were trained, how far, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from advisor.domain.commands import Evaluate, Train, TrialOrigin
from advisor.domain.measurements import Evaluation, Failed, Fault, TrainRun
from advisor.estimators.learning_curve import LearningCurve
from advisor.estimators.scaling_rules import scale_learning_rate
from advisor.planning.facts import Facts
from advisor.planning.reference import reference_batch_size, reference_learning_rate
from advisor.planning.split import Split
from advisor.planning.step_cost import StepCost
from advisor.ports.proposer import Point, TrialRecord

REFERENCE_TRIAL = 0
"""Number of the reference recipe's trial. The trunk is its first rung."""


@dataclass(frozen=True)
class Trial:
    """One setting, trained in stretches that end at rungs.

    Attributes:
        number: 0 for the reference, then 1, 2, ….
        origin: Why it was run.
        split: Its batch.
        learning_rate: η.
        point: Its batch, and η over what the rule gives for that batch.
        curve: Held-out loss against modelled seconds; its first point is the untrained model.
        commands: The stretches, oldest first.
        runs: What came of each; shorter by one when the last failed.
        fault: Why it failed; None when it did not.
    """

    number: int
    origin: TrialOrigin
    split: Split
    learning_rate: float
    point: Point
    curve: LearningCurve
    commands: tuple[Train, ...]
    runs: tuple[TrainRun, ...]
    fault: Fault | None

    @property
    def rung(self) -> int:
        """Number of the last rung reached; -1 for none."""
        return len(self.runs) - 1

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being finite."""
        return any(run.diverged or run.held_out_loss is None for run in self.runs)

    @property
    def is_sound(self) -> bool:
        """Whether it can be recommended: it has a loss at every rung that it was asked for."""
        return len(self.runs) == len(self.commands) and bool(self.runs) and not self.diverged

    @property
    def was_cut(self) -> bool:
        """Whether its last stretch ended early, so that it stands before its rung."""
        stretches = zip(self.commands, self.runs, strict=False)
        return any(run.step_count < command.step_count for command, run in stretches)

    def loss_at(self, rung: int) -> float:
        """Return the lowest held-out loss up to a rung; infinite where it has none."""
        if rung > self.rung or not self.is_sound:
            return float("inf")
        stretches = list(zip(self.commands, self.runs, strict=False))[: rung + 1]
        seen = sum(len(_losses_by_step(command, run)) for command, run in stretches)
        return min(self.curve.losses[: seen + 1])

    def record(self, *, last_rung: int) -> TrialRecord:
        """Return what a proposer may know of it."""
        losses = {rung: self.loss_at(rung) for rung in range(self.rung + 1)}
        return TrialRecord(
            point=self.point,
            losses=losses if self.is_sound else {},
            is_finished=True,
            was_pruned=self.is_sound and self.rung < last_rung,
            excess=0.0 if self.is_sound else 1.0,
        )


@dataclass(frozen=True)
class Trials:
    """Every trial of a log.

    Attributes:
        facts: The log so far.
    """

    facts: Facts

    @cached_property
    def initial_loss(self) -> float | None:
        """Held-out loss of the untrained model; None when it was not measured or not finite."""
        for _, evaluation in self.facts.figures(Evaluate, Evaluation):
            return evaluation.held_out_loss
        return None

    @cached_property
    def all(self) -> tuple[Trial, ...]:
        """All of them, the reference first."""
        stretches: dict[int, list[tuple[Train, object]]] = {}
        for command, entry in self.facts.entries(Train):
            number = REFERENCE_TRIAL if command.trial is None else command.trial
            stretches.setdefault(number, []).append((command, entry.outcome))
        return tuple(self._trial(number, stretches[number]) for number in sorted(stretches))

    @property
    def reference(self) -> Trial | None:
        """The user's recipe; None before it was trained."""
        return self.all[0] if self.all else None

    def best(self) -> Trial | None:
        """Return the best of those that can be recommended; None when there is none."""
        sound = [trial for trial in self.all if trial.is_sound]
        return best_of(sound) if sound else None

    def learning_rate(self, point: Point) -> float:
        """Return η of a point: its multiplier times what the rule gives for its batch.

        Rounded to what a person would copy; what is trained is what is recommended.
        """
        rate = point.lr_multiplier * self.scaled_rate(point.effective_batch_size)
        return float(f"{rate:.3g}")

    def scaled_rate(self, batch_size: int) -> float:
        """Return what the rule makes of the reference's learning rate at a batch size."""
        return scale_learning_rate(
            self.facts.profile.optimizer.family,
            reference_learning_rate(self.facts),
            batch_size / reference_batch_size(self.facts),
        )

    def _trial(self, number: int, stretches: Sequence[tuple[Train, object]]) -> Trial:
        commands = tuple(command for command, _ in stretches)
        first, (_, last_outcome) = commands[0], stretches[-1]
        # Not the command's own split: the trunk halves its micro-batches to see the noise, and
        # W replicas are run as W times the micro-batches on one device.
        split = StepCost(self.facts).split(first.effective_batch_size) or Split(
            first.micro_batch_size, first.accumulation_steps, 1
        )
        runs = [(c, outcome) for c, outcome in stretches if isinstance(outcome, TrainRun)]
        batch_size = first.effective_batch_size
        multiplier = first.learning_rate / self.scaled_rate(batch_size)
        return Trial(
            number=number,
            origin=first.origin or TrialOrigin.REFERENCE,
            split=split,
            learning_rate=first.learning_rate,
            point=Point(effective_batch_size=batch_size, lr_multiplier=multiplier),
            curve=self._curve(split, runs),
            commands=commands,
            runs=tuple(run for _, run in runs),
            fault=last_outcome.fault if isinstance(last_outcome, Failed) else None,
        )

    def _curve(self, split: Split, runs: Sequence[tuple[Train, TrainRun]]) -> LearningCurve:
        step_time_s = StepCost(self.facts).step_time_s(split)
        # The untrained model stands at the first step: no loss falls before it.
        times_s = [step_time_s]
        losses = [float("inf") if self.initial_loss is None else self.initial_loss]
        begun_s = 0.0
        for command, run in runs:
            for step_count, loss in _losses_by_step(command, run).items():
                times_s.append(max(begun_s + step_count * step_time_s, 1.001 * times_s[-1]))
                losses.append(loss)
            begun_s = times_s[-1]
        return LearningCurve(tuple(times_s), tuple(losses))


def _losses_by_step(command: Train, run: TrainRun) -> dict[int, float]:
    """Return the held-out losses of a stretch by the steps taken in it, the last at its end."""
    seen = command.evaluation_steps[: len(run.earlier_losses)]
    final = float("inf") if run.held_out_loss is None else run.held_out_loss
    last = max(run.step_count, *seen, 1)
    return {**dict(zip(seen, run.earlier_losses, strict=True)), last: final}


def is_better(trial: Trial, other: Trial) -> bool:
    """Return whether ``trial`` has the lower loss at the deepest rung that both reached."""
    rung = min(trial.rung, other.rung)
    return trial.loss_at(rung) < other.loss_at(rung)


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the best of at least one trial, the earlier one on a tie."""
    best = trials[0]
    for trial in trials[1:]:
        if is_better(trial, best):
            best = trial
    return best
