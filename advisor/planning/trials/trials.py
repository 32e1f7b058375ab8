"""The trials of a log: which settings were trained, how far, and how well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import geometric_mean

from bsadvise.model.commands import Evaluate, Train, TrialOrigin
from bsadvise.model.measurements import Evaluation, Failed, Fault, Measurement, TrainRun

from advisor.estimators.learning_curve import LearningCurve
from advisor.estimators.training_curve import training_curve
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.evidence.semantics import (
    mean_loss_rate,
    scaled_rate,
    training_losses_compare,
)
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.tuning.comparison import TrialCurveTuning
from advisor.ports.proposer import Point


@dataclass(frozen=True)
class Trial:
    """One setting, trained in rungs.

    Attributes:
        number: 0 for the reference, then 1, 2, ….
        origin: Why it was run.
        split: Its batch.
        learning_rate: η.
        point: Its batch, and η over what the rule gives for that batch.
        curve: Held-out loss against modelled seconds; its first point is the untrained model.
        training: Training loss against modelled seconds, each the mean over the last doubling; None
            where it was not recorded, or does not compare with that of another batch.
        first_epochs_s: Modelled seconds up to which training loss falls as held-out loss does.
        time_to_target_s: Modelled seconds in which it reached the loss that was asked for; None if
            it has not, or if none was asked for.
        commands: The rungs, oldest first.
        runs: What came of each; shorter by one when the last failed.
        fault: Why it failed; None when it did not.
        replicates_s: Modelled seconds to the target from other seeds; where one did not reach it, a
            multiple of what it was given.
        tuning: When it counts as trained for a time.
    """

    number: int
    origin: TrialOrigin
    split: Split
    learning_rate: float
    point: Point
    curve: LearningCurve
    time_to_target_s: float | None
    commands: tuple[Train, ...]
    runs: tuple[TrainRun, ...]
    fault: Fault | None
    replicates_s: tuple[float, ...] = ()
    training: LearningCurve | None = None
    first_epochs_s: float = math.inf
    tuning: TrialCurveTuning = TrialCurveTuning()

    @cached_property
    def typical_time_to_target_s(self) -> float | None:
        """Modelled seconds to the target, the geometric mean over replicates; None if never."""
        if self.time_to_target_s is None:
            return None
        return geometric_mean((self.time_to_target_s, *self.replicates_s))

    @property
    def step_count(self) -> int:
        """Optimizer steps taken."""
        return sum(run.step_count for run in self.runs)

    @property
    def end_s(self) -> float:
        """Modelled seconds trained."""
        return self.curve.end_s

    @cached_property
    def diverged(self) -> bool:
        """Whether the loss stopped being finite."""
        return any(run.diverged or run.held_out_loss is None for run in self.runs)

    @cached_property
    def is_sound(self) -> bool:
        """Whether it can be recommended: it has a loss after every rung."""
        return len(self.runs) == len(self.commands) and bool(self.runs) and not self.diverged

    @cached_property
    def was_cut(self) -> bool:
        """Whether its last rung ended early for want of real time."""
        rungs = zip(self.commands, self.runs, strict=False)
        return self.time_to_target_s is None and any(
            run.step_count < command.step_count for command, run in rungs
        )

    def reaches(self, time_s: float) -> bool:
        """Return whether it was trained for ``time_s``; it ends at a whole step."""
        return time_s <= self.tuning.reach_factor * self.end_s

    @property
    def progress(self) -> LearningCurve:
        """The curve of most points."""
        return self.curve if self.training is None else self.training

    def loss_until(self, time_s: float) -> float:
        """Return the smoothed loss at a modelled second, at most at its end; inf if unsound."""
        return self.curve.smoothed_at(min(time_s, self.end_s)) if self.is_sound else float("inf")


@dataclass(frozen=True)
class Trials:
    """Every trial of a log.

    Attributes:
        view: The log so far.
    """

    view: LogView

    @cached_property
    def initial_loss(self) -> float | None:
        """Held-out loss of the untrained model; None when it was not measured or not finite."""
        for _, evaluation in self.view.figures(Evaluate, Evaluation):
            return evaluation.held_out_loss
        return None

    @cached_property
    def all(self) -> tuple[Trial, ...]:
        """All of them, the reference first."""
        rungs: dict[int, list[tuple[Train, object]]] = {}
        replicates_s: dict[int, list[float]] = {}
        for command, entry in self.view.entries(Train):
            number = command.trial_number
            if command.schedule is not None:
                continue  # A complete training, which compares with its like alone.
            if command.replicate:
                replicates_s.setdefault(number, []).append(self._replicate_s(command, entry))
            else:
                rungs.setdefault(number, []).append((command, entry.outcome))
        return tuple(
            self._trial(number, rungs[number], replicates_s.get(number, ()))
            for number in sorted(rungs)
        )

    @cached_property
    def pending(self) -> tuple[Point, ...]:
        """The settings of new trials that are being trained for the first time now."""
        known = {trial.number for trial in self.all}
        return tuple(
            self._point(command)
            for command in self.view.running
            if isinstance(command, Train) and command.trial not in (None, *known)
        )

    @property
    def begun(self) -> tuple[Point, ...]:
        """The settings of all trials that were begun."""
        return (*(trial.point for trial in self.all), *self.pending)

    @property
    def reference(self) -> Trial | None:
        """The user's recipe; None before it was trained."""
        return self.all[0] if self.all else None

    @cached_property
    def shortest_time_to_target_s(self) -> float | None:
        """Modelled seconds of the setting that reaches the target first; None when none did."""
        times_s = (trial.typical_time_to_target_s for trial in self.all)
        return min((time_s for time_s in times_s if time_s is not None), default=None)

    @cached_property
    def training_loss_is_informative(self) -> bool:
        """Whether training losses show what held-out losses do.

        While a model has hardly begun to learn, those of a few batches differ by their samples.
        """
        sound = [trial for trial in self.all if trial.is_sound]
        lead = min(sound, key=lambda trial: trial.curve.best_loss, default=None)
        if lead is None or lead.training is None or self.initial_loss is None:
            return True
        # Not the lowest training loss: over the first steps the mean is that of a batch or two.
        seen = self.initial_loss - lead.training.losses[-1]
        return seen >= self._tuning.informative_share * (self.initial_loss - lead.curve.best_loss)

    def informative_curve(self, trial: Trial) -> LearningCurve:
        """Return the curve of training losses where they are informative, else of held-out ones."""
        return trial.progress if self.training_loss_is_informative else trial.curve

    def learning_rate(self, point: Point) -> float:
        """Return η of a point: its multiplier times what the rule gives for its batch.

        Rounded to what a person would copy; what is trained is what is recommended.
        """
        rate = point.lr_multiplier * self.scaled_rate(point.effective_batch_size)
        return float(f"{rate:.3g}")

    def scaled_rate(self, batch_size: int) -> float:
        """Return what the rule makes of the reference's learning rate at a batch size."""
        return scaled_rate(self.view, reference_learning_rate(self.view), batch_size)

    def mean_loss_rate(self, learning_rate: float, batch_size: int) -> float:
        """Return the rate at which the mean over the batch takes the steps of the user's loss."""
        return mean_loss_rate(self.view, learning_rate, batch_size)

    def _trial(
        self,
        number: int,
        rungs: Sequence[tuple[Train, object]],
        replicates_s: Sequence[float] = (),
    ) -> Trial:
        commands = tuple(command for command, _ in rungs)
        first, (_, last_outcome) = commands[0], rungs[-1]
        # Not the command's own split: the reference run halves its micro-batches to measure the
        # noise, and W replicas are run as W times the micro-batches on one device.
        split = self.view.model(StepCost).split(first.effective_batch_size) or Split(
            first.micro_batch_size, first.accumulation_steps, 1
        )
        step_time_s = self._step_time_s(split)
        runs = [(c, outcome) for c, outcome in rungs if isinstance(outcome, TrainRun)]
        curve = self._curve(step_time_s, runs)
        target = self.view.request.target_loss
        return Trial(
            number=number,
            origin=first.origin or TrialOrigin.REFERENCE,
            split=split,
            learning_rate=first.learning_rate,
            point=self._point(first),
            curve=curve,
            time_to_target_s=None if target is None else curve.smooth().time_to(target),
            commands=commands,
            runs=tuple(run for _, run in runs),
            fault=last_outcome.fault if isinstance(last_outcome, Failed) else None,
            replicates_s=tuple(replicates_s),
            training=self._training_curve([run for _, run in runs], step_time_s),
            first_epochs_s=self._first_epochs / split.effective_batch_size * step_time_s,
            tuning=self._tuning,
        )

    def _point(self, command: Train) -> Point:
        batch_size = command.effective_batch_size
        multiplier = command.learning_rate / self.scaled_rate(batch_size)
        return Point(effective_batch_size=batch_size, lr_multiplier=multiplier)

    def _replicate_s(self, command: Train, entry: Measurement) -> float:
        """Return the modelled seconds of a replicate to the target."""
        trial = self._trial(0, [(command, entry.outcome)])
        if trial.time_to_target_s is not None:
            return trial.time_to_target_s
        return self._tuning.missed_factor * command.step_count * self._step_time_s(trial.split)

    def _step_time_s(self, split: Split) -> float:
        return self.view.model(StepCost).step_time_s(split)

    @cached_property
    def _first_epochs(self) -> float:
        """Samples of the first epochs; infinite where the data set's size is not known."""
        return (self.view.profile.dataset_size or math.inf) * self._tuning.first_epochs

    def _curve(self, step_time_s: float, runs: Sequence[tuple[Train, TrainRun]]) -> LearningCurve:
        # The untrained model stands at the first step: no loss falls before it.
        times_s = [step_time_s]
        losses = [float("inf") if self.initial_loss is None else self.initial_loss]
        begun_s, ratio = 0.0, self._tuning.min_time_ratio
        for command, run in runs:
            for step_count, loss in _losses_by_step(command, run).items():
                times_s.append(max(begun_s + step_count * step_time_s, ratio * times_s[-1]))
                losses.append(loss)
            begun_s = times_s[-1]
        return LearningCurve(
            tuple(times_s), tuple(losses), self.view.tuning.estimators.learning_curve
        )

    def _training_curve(self, runs: Sequence[TrainRun], step_time_s: float) -> LearningCurve | None:
        """Return the training losses of all rungs; None where any has none, or they mislead."""
        if not training_losses_compare(self.view):
            return None
        ends: list[int] = []
        means: list[float] = []
        begun = 0
        for run in runs:
            count = len(run.train_losses)
            if not count:
                return None
            ends += [begun + round(part * run.step_count / count) for part in range(1, count + 1)]
            means += run.train_losses
            begun += run.step_count
        tuning = self.view.tuning.estimators
        return training_curve(
            ends,
            means,
            step_time_s,
            tuning=tuning.training_curve,
            curve_tuning=tuning.learning_curve,
        )

    @cached_property
    def _tuning(self) -> TrialCurveTuning:
        return self.view.tuning.trials.curves


def _losses_by_step(command: Train, run: TrainRun) -> dict[int, float]:
    """Return the held-out losses of a rung by the steps taken in it, the last at its end."""
    seen = command.evaluation_steps[: len(run.earlier_losses)]
    final = float("inf") if run.held_out_loss is None else run.held_out_loss
    last = max(run.step_count, *seen, 1)
    return {**dict(zip(seen, run.earlier_losses, strict=True)), last: final}
