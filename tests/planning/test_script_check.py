"""An answer for a script ends with a run of the script itself, with the advised values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from bsadvise.model.advice import Advice, Confidence
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import Command, ObserveScript, RunScript, Verify
from bsadvise.model.measurements import Failed, Log, OutOfMemory, TimedOut
from bsadvise.model.observation import (
    Observation,
    ObservationEnd,
    Place,
    PlaceKind,
    Quantity,
    ScriptRun,
)
from bsadvise.model.request import AdviceRequest, EntryKind

from advisor.planning.evidence.step import Commands
from advisor.planning.planner import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.builders import (
    a_device,
    a_fault,
    a_reference,
    a_request,
    a_source,
    an_observation,
)
from tests.support.simulated_device import SimulatedDevice

PLANNER = RecommendationPlanner(OptunaProposer())
BATCH = Place(quantity=Quantity.MICRO_BATCH_SIZE, kind=PlaceKind.FLAG, name="--batch-size")
WHOLE = Place(quantity=Quantity.BATCH_SIZE, kind=PlaceKind.CONSTANT, name="B", file="t.py", line=1)
RATE = Place(quantity=Quantity.LEARNING_RATE, kind=PlaceKind.FLAG, name="--lr")


def a_script(*places: Place, **changes: Any) -> Observation:
    confirmed = tuple(replace(place, is_confirmed=True) for place in places)
    # Two candidates that are not confirmed are no place that is known.
    others = (BATCH, replace(BATCH, name="--bs")) if BATCH not in places else ()
    return an_observation(reference=a_reference(where=(*confirmed, *others)), **changes)


@dataclass
class Scripted(SimulatedDevice):
    """A device on which the script itself does something else than was predicted."""

    outcome: Any = None

    def _run_script(self, command: ObserveScript | RunScript) -> Any:
        run = super()._run_script(command)
        if isinstance(command, ObserveScript):
            return run
        return self.outcome(run) if callable(self.outcome) else self.outcome or run


def search(
    device: SimulatedDevice, *, stop_before: type[Command] | None = None, **changes: Any
) -> tuple[Log, Advice]:
    defaults: dict[str, Any] = {
        "source": a_source(entry_kind=EntryKind.SCRIPT),
        "budget_s": 20.0,
        "max_trials": 2,
    }
    request: AdviceRequest = a_request(**defaults | changes)
    log: Log = ()
    view = PLANNER.read(request, (a_device(),), log)
    while isinstance(plan := PLANNER.plan(view), Commands):
        if stop_before is not None and isinstance(plan.commands[0], stop_before):
            best = PLANNER.best_so_far(view)
            assert best is not None
            return log, best
        log = (*log, device.measure(plan.commands[0]))
        view = PLANNER.read(request, (a_device(),), log)
    assert isinstance(plan, Advice)
    return log, plan


def codes(advice: Advice) -> list[str]:
    return [one.code for one in advice.caveats if one.code.startswith("script_")]


def text_of(advice: Advice, code: CaveatCode) -> str:
    return next(one.text for one in advice.caveats if one.code == code)


def test_the_last_command_runs_the_script_with_what_is_advised() -> None:
    log, advice = search(SimulatedDevice(observation=a_script(BATCH, RATE)))
    assert [type(entry.command) for entry in log[-2:]] == [Verify, RunScript]
    command = log[-1].command
    assert isinstance(command, RunScript)
    said = {value.place.quantity: value.after for value in command.values}
    assert said.get(Quantity.MICRO_BATCH_SIZE, 128) == advice.micro_batch_size
    rate = said.get(Quantity.LEARNING_RATE, 0.1)
    assert rate == pytest.approx(advice.learning_rate, rel=1e-5)
    assert command.measure_s == pytest.approx(1.0)
    check = advice.script_check
    assert check is not None
    assert check.micro_batch_size == advice.micro_batch_size
    assert check.peak_bytes == check.predicted_peak_bytes == advice.measured_peak_bytes
    assert check.samples_per_s == pytest.approx(check.predicted_samples_per_s, rel=0.2)
    assert codes(advice) == []


def test_a_value_without_a_place_is_why_the_script_is_not_run() -> None:
    log, advice = search(SimulatedDevice(observation=a_script(RATE)))
    assert not any(isinstance(entry.command, RunScript) for entry in log)
    assert advice.script_check is None
    assert codes(advice) == [CaveatCode.SCRIPT_NOT_CHECKED]
    assert "its batch size, 128" in text_of(advice, CaveatCode.SCRIPT_NOT_CHECKED)


@pytest.mark.parametrize("of_whole", [(WHOLE,), (WHOLE, BATCH)])
def test_a_script_that_divides_its_batch_is_told_the_whole_one(of_whole: tuple[Place, ...]) -> None:
    reference = a_reference(
        batch_size=128,
        micro_batch_size=32,
        accumulation_steps=4,
        where=tuple(replace(place, is_confirmed=True) for place in (*of_whole, RATE)),
    )
    device = SimulatedDevice(observation=an_observation(reference=reference))
    log, advice = search(device, effective_batch_size=256, memory_limit_bytes=device.peak_bytes(64))
    split = advice.micro_batch_size, advice.accumulation_steps
    assert split == (64, 4)
    command = log[-1].command
    assert isinstance(command, RunScript)
    said = {value.place.quantity: (value.before, value.after) for value in command.values}
    if BATCH in of_whole:
        assert said[Quantity.MICRO_BATCH_SIZE] == (32, 64)
        assert Quantity.BATCH_SIZE not in said
    else:
        assert said[Quantity.BATCH_SIZE] == (128, 256)
    check = advice.script_check
    assert check is not None
    assert (check.micro_batch_size, check.accumulation_steps) == split
    assert not any("trained with" in one.text for one in advice.caveats)


def test_what_is_stopped_before_says_so() -> None:
    _, advice = search(SimulatedDevice(observation=a_script(BATCH, RATE)), stop_before=RunScript)
    assert "was stopped before" in text_of(advice, CaveatCode.SCRIPT_NOT_CHECKED)


def test_a_model_file_has_no_such_check() -> None:
    log, advice = search(SimulatedDevice(), source=a_source())
    assert not any(isinstance(entry.command, RunScript) for entry in log)
    assert codes(advice) == []


def test_a_script_that_starts_slowly_is_run_only_while_the_budget_lasts() -> None:
    log, advice = search(SimulatedDevice(observation=a_script(BATCH, RATE, start_s=19.0)))
    assert not any(isinstance(entry.command, RunScript) for entry in log)
    assert "larger --budget" in text_of(advice, CaveatCode.SCRIPT_NOT_CHECKED)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Failed(fault=a_fault(hook=None, file="train.py")), "train.py:3: ValueError: no"),
        (OutOfMemory(message="CUDA out of memory."), "runs out of memory: CUDA"),
        (TimedOut(limit_s=9.0, file="train.py", line=4), "within 9 s; it was at train.py:4"),
        (ScriptRun(end=ObservationEnd.SCRIPT_ENDED, step_count=0), "ended without an optimizer"),
        (ScriptRun(end=ObservationEnd.TIME_LIMIT, step_count=0), "no optimizer step in time"),
    ],
)
def test_a_failure_is_said_and_lowers_confidence(outcome: Any, words: str) -> None:
    _, advice = search(Scripted(observation=a_script(BATCH, RATE), outcome=outcome))
    assert codes(advice) == [CaveatCode.SCRIPT_CHECK_FAILED]
    assert words in text_of(advice, CaveatCode.SCRIPT_CHECK_FAILED)
    assert advice.script_check is None
    assert advice.confidence is Confidence.LOW


def _slower(run: ScriptRun) -> ScriptRun:
    return replace(run, step_times_s=tuple(2 * time_s for time_s in run.step_times_s))


def _larger(run: ScriptRun) -> ScriptRun:
    return replace(run, peak_bytes=2 * (run.peak_bytes or 0))


def _at_another_setting(run: ScriptRun) -> ScriptRun:
    assert run.setting is not None
    setting = replace(run.setting, micro_batch_size=7, batch_size=7, learning_rate=3.0)
    return replace(run, setting=setting)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_slower, "samples/s, not"),
        (_larger, "took "),
        (_at_another_setting, "batches of 7, not"),
        (_at_another_setting, "a learning rate of 3, not"),
    ],
)
def test_what_is_not_as_predicted_is_said(change: Any, words: str) -> None:
    _, advice = search(Scripted(observation=a_script(BATCH, RATE), outcome=change))
    assert codes(advice) == [CaveatCode.SCRIPT_CHECK_DIFFERS]
    assert words in text_of(advice, CaveatCode.SCRIPT_CHECK_DIFFERS)
    assert advice.script_check is not None
