"""What a log says, read once a call of the planner: the stages ask this, not the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from bsadvise.model.commands import (
    Command,
    InspectTask,
    ObserveScript,
    RecallAnswers,
    TimeLoader,
    TimeSteps,
    Train,
    Verify,
)
from bsadvise.model.device import Device
from bsadvise.model.measurements import (
    LoaderTimes,
    Log,
    Measurement,
    Outcome,
    OutOfMemory,
    Prior,
    StepTimes,
)
from bsadvise.model.observation import Observation, Reference
from bsadvise.model.request import AdviceRequest
from bsadvise.model.task import TaskProfile

from advisor.estimators.timing import StepTimeCurve, typical_time_s
from advisor.planning.evidence.invalid_measurements import sound_measurements
from advisor.planning.tuning.tuning import DEFAULT_TUNING, Tuning

M = TypeVar("M")
C = TypeVar("C", bound=Command | RecallAnswers)
O = TypeVar("O", bound=Outcome)  # noqa: E741 - the outcome beside the command


@dataclass(frozen=True)
class LogView:
    """A request, its devices and what has been measured so far, with the models built on it.

    Built once a call of the planner and never changed, so that whatever is derived from it is
    derived once: see ``model``.

    Attributes:
        request: What was asked.
        devices: The devices of the lease, at least one; measurements are of the first.
        log: Every measurement, oldest first.
        tuning: The planner's tuned numbers.
        running: The commands that are being measured now, of which nothing is known yet.
    """

    request: AdviceRequest
    devices: tuple[Device, ...]
    log: Log
    tuning: Tuning = DEFAULT_TUNING
    running: tuple[Command, ...] = ()
    _models: dict[Callable[[LogView], Any], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def model(self, build: Callable[[LogView], M]) -> M:
        """Return what ``build`` makes of this view: made on first use, then kept.

        Models lie in layers above this one, which must not import them; the class of a model is
        the key to the one instance of it. So no two parts of a call can build the same model, nor
        need they pass it to each other.

        Args:
            build: A class whose constructor takes a view alone.
        """
        if build not in self._models:
            self._models[build] = build(self)
        made: M = self._models[build]
        return made

    @property
    def device(self) -> Device:
        """The device that measurements are of."""
        return self.devices[0]

    @cached_property
    def sound(self) -> Log:
        """The log without what other processes on the device have made invalid."""
        return tuple(sound_measurements(self.log, self.tuning.evidence.invalid_measurements))

    @cached_property
    def elapsed_s(self) -> float:
        """Seconds of measurement so far."""
        return sum(entry.wall_s for entry in self.log)

    @property
    def remaining_s(self) -> float:
        """Seconds of the budget that are left, at least 0."""
        return max(0.0, self.request.budget_s - self.elapsed_s)

    def spent(self, share: float) -> bool:
        """Return whether more than ``share`` of the budget has gone."""
        return self.elapsed_s > share * self.request.budget_s

    def entries(self, command_class: type[C]) -> Iterator[tuple[C, Measurement]]:
        """Yield the measurements of one kind of command, oldest first."""
        for entry in self._by_class.get(command_class, ()):
            if isinstance(entry.command, command_class):
                yield entry.command, entry

    @cached_property
    def _by_class(self) -> dict[type, list[Measurement]]:
        found: dict[type, list[Measurement]] = {}
        for entry in self.sound:
            found.setdefault(type(entry.command), []).append(entry)
        return found

    def figures(self, command_class: type[C], outcome_class: type[O]) -> Iterator[tuple[C, O]]:
        """Yield the commands of one kind that came to one kind of outcome."""
        for command, entry in self.entries(command_class):
            if isinstance(entry.outcome, outcome_class):
                yield command, entry.outcome

    @cached_property
    def profile(self) -> TaskProfile:
        """The task. Raises LookupError before it was inspected."""
        for _, profile in self.figures(InspectTask, TaskProfile):
            return profile
        raise LookupError("the task has not been inspected")

    @cached_property
    def _observation(self) -> Observation | None:
        return next((seen for _, seen in self.figures(ObserveScript, Observation)), None)

    @property
    def reference(self) -> Reference | None:
        """What a script trains with by itself; None for a model file, and before it was seen."""
        return None if self._observation is None else self._observation.reference

    @property
    def script_start_s(self) -> float:
        """Seconds that a script needs to its first step; 0 where that was not seen."""
        return 0.0 if self._observation is None else self._observation.start_s or 0.0

    @cached_property
    def prior(self) -> Prior | None:
        """What earlier answers about the task found; None where they were not asked for."""
        return next((prior for _, prior in self.figures(RecallAnswers, Prior)), None)

    @cached_property
    def step_times(self) -> StepTimeCurve | None:
        """Step time by micro-batch size; None before any was timed."""
        timed = list(self.figures(TimeSteps, StepTimes))
        if not timed:
            return None
        return StepTimeCurve(
            {
                command.micro_batch_size: typical_time_s(times.step_times_s)
                for command, times in timed
            },
            typical_time_s([time_s for _, times in timed for time_s in times.optimizer_times_s]),
            self.tuning.estimators.step_time,
        )

    @cached_property
    def load_time_per_sample_s(self) -> float | None:
        """Seconds to fetch one sample; None when the loader was not timed."""
        times = self.loader_times
        return None if times is None else typical_time_s(times.batch_times_s) / times.batch_size

    @cached_property
    def loader_times(self) -> LoaderTimes | None:
        """The loader as the user has it; None when it was not timed so."""
        for command, times in self.figures(TimeLoader, LoaderTimes):
            if command.num_workers is None:
                return times
        return None

    @cached_property
    def smallest_out_of_memory(self) -> int | None:
        """The smallest micro-batch that ran out of memory where it was really run."""
        return min(
            (
                entry.command.micro_batch_size
                for entry in self.sound
                if isinstance(entry.outcome, OutOfMemory)
                and isinstance(entry.command, TimeSteps | Train | Verify)
            ),
            default=None,
        )

    def loading_s(self) -> float:
        """Return the seconds that a fresh process needs before user code is ready."""
        for _, entry in self.entries(InspectTask):
            return entry.wall_s
        return 0.0
