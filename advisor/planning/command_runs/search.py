"""Which runs of a command are made, and which setting they speak for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from bsadvise.model.advice import Refusal, RefusalCode
from bsadvise.model.commands import ObserveScript, RunScript
from bsadvise.model.measurements import Measurement, OutOfMemory
from bsadvise.model.observation import Observation, Quantity, ScriptRun

from advisor.estimators.timing import typical_time_s
from advisor.planning.command_runs.refusals import (
    refuse_command,
    refuse_run,
    refuse_silence,
    refuse_split,
)
from advisor.planning.command_runs.setting import (
    CommandReference,
    CommandSetting,
    command_reference,
)
from advisor.planning.evidence.budget import hook_limit_s, memory_budget, script_run_s
from advisor.planning.evidence.log_view import LogView


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSetting:
    """A setting that fits, as its run has shown it.

    Attributes:
        setting: The setting.
        run: What was counted.
        samples_per_s: Throughput.
    """

    setting: CommandSetting
    run: ScriptRun
    samples_per_s: float


@dataclass(frozen=True)
class CommandSearch:
    """The runs of a command.

    Batches are doubled for as long as that is notably faster and fits, and halved where the one to
    begin with does not fit. The smallest of about the highest throughput is run once more. A batch
    that is to be kept is halved until it fits, and accumulated.

    Attributes:
        view: The log so far.
    """

    view: LogView

    def next_step(self) -> ObserveScript | RunScript | Refusal | None:
        """Return what to run next, or why there is no advice; None once there is some."""
        view = self.view
        if not view.device.present:
            return Refusal(
                code=RefusalCode.DEVICE,
                message=f"A command is measured by running it, and {view.device.name} is not on "
                "this machine.",
            )
        for command, entry in view.entries(ObserveScript):
            if not isinstance(entry.outcome, Observation):
                return refuse_command(view.request, command, entry.outcome)
            if entry.outcome.step_count == 0:
                return refuse_silence(entry.outcome, command.time_limit_s)
            return self._next_run()
        steps = view.tuning.evidence.observation.step_count
        return ObserveScript(time_limit_s=hook_limit_s(view), step_count=steps)

    def _next_run(self) -> RunScript | Refusal | None:
        if isinstance(self.reference, Refusal):
            return self.reference
        if not self._path:
            return refuse_split(self.known.setting, self.view.request.effective_batch_size or 0)
        setting, entry = self._path[-1]
        if entry is None:
            return self._trial_of(setting)
        if self.choice is None:
            return refuse_run(self._trial_of(setting), entry.outcome, self.budget_bytes)
        run = self._last_run_of(self.choice.setting)
        return None if self._made(run) is not None else run

    @cached_property
    def reference(self) -> CommandReference | Refusal:
        """What the user trains with, or why that is not known.

        Raises:
            LookupError: The command has not been observed.
        """
        for _, seen in self.view.figures(ObserveScript, Observation):
            return command_reference(self.view.request.source.arguments, seen)
        raise LookupError("the command has not been observed")

    @property
    def known(self) -> CommandReference:
        """The reference. Raises LookupError where it is not known."""
        match self.reference:
            case CommandReference() as known:
                return known
            case Refusal(message=message):
                raise LookupError(message)

    @cached_property
    def budget_bytes(self) -> int:
        """What a step may take."""
        tuning = self.view.tuning.evidence.memory
        return memory_budget(self.view.request, self.view.device, tuning).budget_bytes

    @cached_property
    def measured(self) -> tuple[MeasuredSetting, ...]:
        """The settings that fit and whose steps were timed, by rising micro-batch."""
        found = [
            one
            for setting, entry in self._path
            if entry is not None and (one := self._measured(setting, entry)) is not None
        ]
        return tuple(sorted(found, key=lambda one: one.setting.micro_batch_size))

    @property
    def has_choice(self) -> bool:
        """Whether there is a setting to advise, at any time of the search."""
        is_observed = any(self.view.figures(ObserveScript, Observation))
        return is_observed and not isinstance(self.reference, Refusal) and self.choice is not None

    @cached_property
    def choice(self) -> MeasuredSetting | None:
        """The setting to advise; None where none can be.

        One whose last run did not fit, or failed, is none.
        """
        sound = [one for one in self.measured if self._has_not_failed(one.setting)]
        if not sound:
            return None
        share = self.view.tuning.estimators.step_time.knee_share
        enough = (1 - share) * max(one.samples_per_s for one in sound)
        return next(one for one in sound if one.samples_per_s >= enough)

    @property
    def last_run(self) -> ScriptRun | None:
        """The last run of the setting to advise; None before it."""
        entry = None if self.choice is None else self._made(self._last_run_of(self.choice.setting))
        return entry.outcome if entry and isinstance(entry.outcome, ScriptRun) else None

    @cached_property
    def smallest_that_does_not_fit(self) -> int | None:
        """Samples of the smallest micro-batch that did not fit; None where all did."""
        return min(
            (
                setting.micro_batch_size
                for setting, entry in self._path
                if entry is not None and self._is_too_large(entry)
            ),
            default=None,
        )

    @cached_property
    def _path(self) -> tuple[tuple[CommandSetting, Measurement | None], ...]:
        """The settings that are run, in order, each with its run; the last may have none yet."""
        return tuple(self._follow())

    def _follow(self) -> Iterator[tuple[CommandSetting, Measurement | None]]:
        asked, now = self.view.request.effective_batch_size, self.known.setting
        size = now.micro_batch_size if asked is None else asked // self._steps(asked, asked)
        highest, has_fitted = 0.0, False
        while size:
            setting = self.known.setting_of(size, self._steps(asked, size))
            if asked not in (None, setting.effective_batch_size):
                return
            entry = self._made(self._trial_of(setting))
            yield setting, entry
            if entry is None:
                return
            if self._is_too_large(entry):
                if has_fitted or size % 2:
                    return
                size //= 2
                continue
            found = self._measured(setting, entry)
            if found is None or asked is not None or size < now.micro_batch_size:
                return
            least = self.view.tuning.command_runs.min_gain * highest
            if found.samples_per_s < least or not self._may_double(setting, entry):
                return
            highest, has_fitted, size = found.samples_per_s, True, 2 * size

    def _steps(self, asked: int | None, size: int) -> int:
        """Return the batches an optimizer step: other than now only to keep a batch asked for."""
        if asked is None or Quantity.ACCUMULATION_STEPS not in self.known.quantities:
            return self.known.setting.accumulation_steps
        return asked // size

    def _may_double(self, setting: CommandSetting, entry: Measurement) -> bool:
        """Return whether twice the batch is one of the data, and there was time to run it."""
        most = None if self.view.reference is None else self.view.reference.dataset_size
        elapsed = accumulate(made.wall_s for made in self.view.log)
        spent_s = next(s for s, made in zip(elapsed, self.view.log, strict=True) if made is entry)
        wanted_s = entry.wall_s + script_run_s(self.view)
        return (
            most is None or 2 * setting.effective_batch_size <= most
        ) and spent_s + wanted_s <= self.view.request.budget_s

    def _trial_of(self, setting: CommandSetting) -> RunScript:
        return self._run_of(setting, self.view.tuning.command_runs.run_share)

    def _last_run_of(self, setting: CommandSetting) -> RunScript:
        return self._run_of(setting, self.view.tuning.evidence.seconds.script_run_share)

    def _run_of(self, setting: CommandSetting, share: float) -> RunScript:
        measure_s = share * self.view.request.budget_s
        return RunScript(
            values=self.known.values_of(setting),
            step_count=self.view.tuning.answer.script_check.max_steps,
            measure_s=measure_s,
            time_limit_s=hook_limit_s(self.view) + script_run_s(self.view),
        )

    def _made(self, run: RunScript) -> Measurement | None:
        """Return the measurement of a run; None where it was not made."""
        for command, entry in self.view.entries(RunScript):
            if (command.values, command.measure_s) == (run.values, run.measure_s):
                return entry
        return None

    def _measured(self, setting: CommandSetting, entry: Measurement) -> MeasuredSetting | None:
        run = entry.outcome
        if not isinstance(run, ScriptRun) or not run.step_times_s or self._is_too_large(entry):
            return None
        rate = setting.effective_batch_size / typical_time_s(run.step_times_s)
        return MeasuredSetting(setting=setting, run=run, samples_per_s=rate)

    def _is_too_large(self, entry: Measurement) -> bool:
        match entry.outcome:
            case OutOfMemory():
                return True
            case ScriptRun(peak_bytes=int(peak_bytes)):
                return peak_bytes > self.budget_bytes
            case _:
                return False

    def _has_not_failed(self, setting: CommandSetting) -> bool:
        entry = self._made(self._last_run_of(setting))
        return entry is None or self._measured(setting, entry) is not None
