"""What was trained on a schedule: short trainings to their end, and the start of the stated one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.commands import Train
from bsadvise.model.measurements import TrainRun

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledTraining:
    """A training on a schedule and its last loss.

    Attributes:
        batch_size: B.
        learning_rate: Peak η.
        samples: Seen, repeats counted.
        time_s: Modelled seconds of its steps.
        loss: Held-out loss at its end; infinite if it diverged.
    """

    batch_size: int
    learning_rate: float
    samples: float
    time_s: float
    loss: float


@dataclass(frozen=True)
class ScheduledTrainings:
    """The trainings of a log that had a schedule.

    Attributes:
        view: The log so far, with timed steps.
    """

    view: LogView

    @cached_property
    def complete(self) -> tuple[ScheduledTraining, ...]:
        """Those that went to the end of it, or diverged; in the order in which they were made."""
        return tuple(one for one, to_its_end in self._made if to_its_end)

    @cached_property
    def beginnings(self) -> tuple[ScheduledTraining, ...]:
        """The first steps of the stated training itself, as often as they were run."""
        return tuple(one for one, to_its_end in self._made if not to_its_end)

    @cached_property
    def _made(self) -> tuple[tuple[ScheduledTraining, bool], ...]:
        """Each, and whether the command was for all of its schedule."""
        return tuple(
            (self._trained(command, run), is_complete(command))
            for command, run in self.view.figures(Train, TrainRun)
            # One that was cut for want of time ended sooner than was asked.
            if command.schedule is not None
            and (run.diverged or run.step_count == command.step_count)
        )

    def _trained(self, command: Train, run: TrainRun) -> ScheduledTraining:
        loss = run.held_out_loss
        return ScheduledTraining(
            batch_size=command.effective_batch_size,
            learning_rate=command.learning_rate,
            samples=float(command.step_count * command.effective_batch_size),
            time_s=self.time_s(command),
            loss=math.inf if run.diverged or loss is None else loss,
        )

    def time_s(self, command: Train) -> float:
        """Return the modelled seconds of the steps of a training."""
        split = Split(command.micro_batch_size, command.accumulation_steps, 1)
        return command.step_count * self.view.model(StepCost).step_time_s(split)

    @cached_property
    def begun(self) -> tuple[Train, ...]:
        """All complete ones that were begun, whatever came of them."""
        known = (command for command, _ in self.view.entries(Train))
        running = (command for command in self.view.running if isinstance(command, Train))
        return tuple(c for c in (*known, *running) if is_complete(c))


def is_complete(command: Train) -> bool:
    """Return whether a training is to go to the end of its schedule."""
    return command.schedule is not None and command.step_count == command.schedule.total_steps
