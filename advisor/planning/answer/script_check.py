"""The last check of an answer for a script: the script itself is run with the advised values.

They are put where the script says its own, as the answer tells its user to; nothing else is
changed. What it then does is compared with what was predicted for the setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.advice import Interval, ScriptCheck
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import RunScript
from bsadvise.model.measurements import Failed, Outcome, OutOfMemory, TimedOut
from bsadvise.model.observation import (
    ObservationEnd,
    PlacedValue,
    Quantity,
    Reference,
    ScriptRun,
)
from bsadvise.model.units import format_bytes, format_number, format_seconds, number_text

from advisor.estimators.timing import typical_time_s
from advisor.planning.answer.choice import Choice
from advisor.planning.answer.verification import verification_of
from advisor.planning.evidence.budget import hook_limit_s, script_run_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.tuning.answer import ScriptCheckTuning

_NAMES = {Quantity.MICRO_BATCH_SIZE: "batch size", Quantity.LEARNING_RATE: "learning rate"}


@dataclass(frozen=True)
class ScriptRunner:
    """Runs a script with a choice's values, and compares.

    Attributes:
        view: The log so far.
        choice: The setting to be recommended.
        reference: What the script trains with by itself.
    """

    view: LogView
    choice: Choice
    reference: Reference

    def next_run(self) -> RunScript | None:
        """Return the run that is still needed; None when it was made, or cannot be."""
        if self.has_run or self._reason_not_to_run() is not None:
            return None
        view, share = self.view, self.view.tuning.evidence.seconds.script_run_share
        return RunScript(
            values=self._values(),
            step_count=view.tuning.answer.script_check.max_steps,
            measure_s=share * view.request.budget_s,
            time_limit_s=hook_limit_s(view) + script_run_s(view),
        )

    @property
    def has_run(self) -> bool:
        """Whether the run was made, whatever came of it."""
        return self._outcome is not None

    def check(self, samples_per_s: float | None, interval: Interval | None) -> ScriptCheck | None:
        """Return what the run showed; None without a run that took steps.

        Args:
            samples_per_s: Throughput of the setting, data loading left out.
            interval: Its 80 % interval.
        """
        run = self._outcome
        if not isinstance(run, ScriptRun) or run.step_count == 0:
            return None
        verification, setting = verification_of(self.view, self.choice), run.setting
        split = self.choice.split
        rate, predicted, predicted_interval = None, None, None
        if samples_per_s is not None and interval is not None:
            step_time_s = self.view.model(StepCost).step_time_s(split)
            predicted = split.micro_batch_size * split.accumulation_steps / step_time_s
            # Loading is as unsure as computing.
            share = predicted / samples_per_s
            predicted_interval = Interval(low=share * interval.low, high=share * interval.high)
        if setting is not None and run.step_times_s:
            rate = setting.batch_size / typical_time_s(run.step_times_s)
        return ScriptCheck(
            step_count=run.step_count,
            predicted_peak_bytes=self.view.model(MemoryModel).split_peak_bytes(split)
            if verification is None
            else verification.peak_bytes,
            micro_batch_size=None if setting is None else setting.micro_batch_size,
            accumulation_steps=None if setting is None else setting.accumulation_steps,
            learning_rate=None if setting is None else setting.learning_rate,
            peak_bytes=run.peak_bytes,
            samples_per_s=rate,
            predicted_samples_per_s=predicted,
            predicted_samples_per_s_interval=predicted_interval,
        )

    def caveats(self, check: ScriptCheck | None) -> Iterator[Caveat]:
        """Yield why there was no run, how it failed, or in what it was not as predicted."""
        outcome = self._outcome
        if check is not None:
            yield from self._differences(check)
        elif outcome is not None:
            yield Caveat(
                code=CaveatCode.SCRIPT_CHECK_FAILED,
                text=f"Your own script fails with these values: {_failure(outcome)}",
            )
        else:
            reason = self._reason_not_to_run() or "the search was stopped before."
            yield Caveat(
                code=CaveatCode.SCRIPT_NOT_CHECKED,
                text=f"Your own script was not run with these values: {reason}",
            )

    @cached_property
    def _outcome(self) -> Outcome | None:
        """What came of the run with exactly this choice's values."""
        values = self._values()
        for command, entry in self.view.entries(RunScript):
            if command.values == values:
                return entry.outcome
        return None

    def _reason_not_to_run(self) -> str | None:
        reference, split = self.reference, self.choice.split
        for quantity, before, after in self._changes():
            if reference.place_of(quantity) is None:
                name = _NAMES[quantity]
                return (
                    f"no one place was found that says its {name}, {before:g}, which was to be "
                    f"{number_text(after)}."
                )
        if reference.accumulation_steps != split.accumulation_steps:
            return (
                f"it accumulates {reference.accumulation_steps} batches an optimizer step, and no "
                f"place was found that makes them {split.accumulation_steps}."
            )
        verification = verification_of(self.view, self.choice)
        if verification is None or not verification.is_finite:
            return "the setting was not verified."
        if not self.has_run and self.view.remaining_s < self.view.script_start_s:
            return "the budget was spent. A larger --budget leaves time for it."
        return None

    def _values(self) -> tuple[PlacedValue, ...]:
        return tuple(
            PlacedValue(place=place, before=before, after=after)
            for quantity, before, after in self._changes()
            if (place := self.reference.place_of(quantity)) is not None
        )

    def _changes(self) -> Iterator[tuple[Quantity, float, float]]:
        """Yield what is to be said in place of what: quantity, old and new value."""
        reference, size = self.reference, self.choice.split.micro_batch_size
        if size != reference.micro_batch_size:
            micro, whole = Quantity.MICRO_BATCH_SIZE, Quantity.BATCH_SIZE
            if reference.place_of(micro) is None and reference.place_of(whole) is not None:
                yield whole, reference.batch_size, size * reference.accumulation_steps
            else:
                yield micro, reference.micro_batch_size, size
        old, new = reference.learning_rate, self.choice.learning_rate
        is_used = not any(
            caveat.code == CaveatCode.LEARNING_RATE_UNUSED for caveat in self.view.profile.caveats
        )
        if old is not None and is_used and number_text(old) != number_text(new):
            yield Quantity.LEARNING_RATE, old, float(number_text(new))

    def _differences(self, check: ScriptCheck) -> Iterator[Caveat]:
        tuning = self.view.tuning.answer.script_check
        found = [*self._other_setting(check), *measured_differences(check, tuning)]
        if found:
            yield Caveat(
                code=CaveatCode.SCRIPT_CHECK_DIFFERS,
                text=f"Your own script, run with these values, {', and '.join(found)}.",
            )

    def _other_setting(self, check: ScriptCheck) -> Iterator[str]:
        if check.micro_batch_size is None or check.accumulation_steps is None:
            return
        split = self.choice.split
        seen, advised = (
            (check.micro_batch_size, check.accumulation_steps),
            (split.micro_batch_size, split.accumulation_steps),
        )
        if seen != advised:
            yield f"trained with batches of {_product(seen)}, not {_product(advised)}"
        wanted = next(
            (after for what, _, after in self._changes() if what is Quantity.LEARNING_RATE),
            self.reference.learning_rate,
        )
        rate = check.learning_rate
        if rate is not None and wanted is not None and number_text(rate) != number_text(wanted):
            yield f"trained with a learning rate of {number_text(rate)}, not {number_text(wanted)}"


def measured_differences(check: ScriptCheck, tuning: ScriptCheckTuning) -> Iterator[str]:
    """Yield in what memory and throughput were not as predicted, in words."""
    taken, predicted = check.peak_bytes, check.predicted_peak_bytes
    if taken is not None and predicted is not None and taken > tuning.max_peak_factor * predicted:
        yield f"took {format_bytes(taken)}, not {format_bytes(predicted)}"
    rate, interval = check.samples_per_s, check.predicted_samples_per_s_interval
    if rate is None or interval is None or check.predicted_samples_per_s is None:
        return
    if not interval.low / tuning.rate_factor <= rate <= tuning.rate_factor * interval.high:
        yield (
            f"trained on {format_number(rate)} samples/s, not "
            f"{format_number(check.predicted_samples_per_s)}"
        )


def script_runner(view: LogView, choice: Choice) -> ScriptRunner | None:
    """Return what runs the script of a request; None for a model file, or without its device."""
    reference = view.reference
    if reference is None or not view.device.present:
        return None
    return ScriptRunner(view, choice, reference)


def _product(factors: tuple[int, int]) -> str:
    return f"{factors[0]:,}" if factors[1] == 1 else f"{factors[0]:,} x {factors[1]}"


def _failure(outcome: Outcome) -> str:
    match outcome:
        case Failed(fault=fault):
            return str(fault)
        case OutOfMemory(message=message):
            return f"it runs out of memory: {message}"
        case TimedOut(limit_s=limit_s, place=place):
            where = f"; it was at {place}" if place else ""
            return f"it did not end within {format_seconds(limit_s)}{where}."
        case ScriptRun(end=ObservationEnd.TIME_LIMIT):
            return "it took no optimizer step in time."
        case _:
            return "it ended without an optimizer step."
