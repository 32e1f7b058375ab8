"""A command is advised on by whole runs of it: memory and speed, and the rate by rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from bsadvise.model.advice import Advice, Confidence, Evidence, Refusal, RefusalCode
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import ObserveScript, RunScript
from bsadvise.model.device import Device
from bsadvise.model.measurements import Failed, Log, Outcome
from bsadvise.model.observation import (
    Observation,
    ObservationEnd,
    Quantity,
    ScriptRun,
)
from bsadvise.model.request import AdviceRequest, EntryKind

from advisor.planning.answer.explanation import explain
from advisor.planning.evidence.step import Commands
from advisor.planning.planner import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.builders import (
    a_device,
    a_fault,
    a_gpu,
    a_reference,
    a_request,
    a_source,
    an_observation,
)
from tests.support.simulated_device import SimulatedDevice

PLANNER = RecommendationPlanner(OptunaProposer())
ALL = ("--batch", "{batch}", "--lr", "{lr}", "--accumulate", "{accumulation}")


def ask(*arguments: str, **changes: Any) -> AdviceRequest:
    source = a_source(entry_kind=EntryKind.COMMAND, arguments=arguments or ALL[:4])
    return a_request(**{"source": source, "budget_s": 60.0} | changes)


@dataclass
class Commanded(SimulatedDevice):
    """A device on which some runs come to something else."""

    changed: Any = None

    def _run_script(self, command: ObserveScript | RunScript) -> Outcome:
        outcome = super()._run_script(command)
        return outcome if self.changed is None else self.changed(command, outcome)


def search(
    device: SimulatedDevice, request: AdviceRequest, on: Device | None = None
) -> tuple[Log, Advice | Refusal]:
    log: Log = ()
    devices = (on or a_device(),)
    while isinstance(plan := PLANNER.plan(PLANNER.read(request, devices, log)), Commands):
        PLANNER.best_so_far(PLANNER.read(request, devices, log))
        log = (*log, device.measure(plan.commands[0]))
        assert len(log) < 50
    return log, plan


def advise(device: SimulatedDevice, request: AdviceRequest) -> tuple[Log, Advice]:
    log, advice = search(device, request)
    assert isinstance(advice, Advice), advice
    return log, advice


def refuse(device: SimulatedDevice, request: AdviceRequest, on: Device | None = None) -> Refusal:
    _, refusal = search(device, request, on)
    assert isinstance(refusal, Refusal)
    return refusal


def said(log: Log) -> list[dict[Quantity, float]]:
    return [
        {value.place.quantity: value.after for value in entry.command.values}
        for entry in log
        if isinstance(entry.command, RunScript)
    ]


def sizes(log: Log) -> list[float]:
    return [values[Quantity.MICRO_BATCH_SIZE] for values in said(log)]


def test_batches_are_doubled_while_that_is_faster_and_the_advised_one_is_run_again() -> None:
    log, advice = advise(SimulatedDevice(), ask())
    assert isinstance(log[0].command, ObserveScript)
    *tried, last = sizes(log)
    assert tried == [128 * 2**k for k in range(len(tried))]
    assert len(tried) > 1
    assert last == advice.micro_batch_size
    assert advice.verified
    check = advice.script_check
    assert check is not None
    assert check.micro_batch_size == advice.micro_batch_size
    assert (advice.confidence, advice.lr_evidence) == (Confidence.LOW, Evidence.RULE)
    assert [one.code for one in advice.caveats] == [CaveatCode.NO_LOSSES_COMPARED]
    assert advice.reference == SimulatedDevice().observation.reference
    explanation = explain(PLANNER.read(ask(), (a_device(),), log))
    assert len(explanation.reasons) == len(log)
    assert all(explanation.reasons)


def test_the_rate_follows_the_rule_of_the_optimizer() -> None:
    log, advice = advise(SimulatedDevice(), ask())
    ratio = advice.effective_batch_size / 128
    assert advice.learning_rate == pytest.approx(0.1 * ratio, rel=1e-5)
    assert said(log)[-1][Quantity.LEARNING_RATE] == advice.learning_rate
    adam = an_observation(optimizer_name="AdamW")
    _, advice = advise(SimulatedDevice(observation=adam), ask())
    ratio = advice.effective_batch_size / 128
    assert advice.learning_rate == pytest.approx(0.1 * ratio**0.5, rel=1e-5)


def test_without_a_place_for_the_rate_it_stays_and_the_rule_is_said() -> None:
    log, advice = advise(SimulatedDevice(), ask("{batch}"))
    assert advice.learning_rate == 0.1
    assert Quantity.LEARNING_RATE not in said(log)[-1]
    assert "has no {lr}" in " ".join(one.text for one in advice.caveats)


def test_what_does_not_fit_bounds_the_batch() -> None:
    def memory_of(command: Any, outcome: Any) -> Any:
        if isinstance(command, RunScript) and outcome.setting.micro_batch_size > 300:
            return replace(outcome, peak_bytes=1 << 50)
        return outcome

    log, advice = advise(Commanded(changed=memory_of), ask())
    assert sizes(log)[:3] == [128, 256, 512]
    assert advice.max_micro_batch_size == 256
    assert advice.max_micro_batch_size_interval is not None
    assert advice.max_micro_batch_size_interval.high == 511


def test_a_batch_to_begin_with_that_does_not_fit_is_halved() -> None:
    device = SimulatedDevice(limit_bytes=SimulatedDevice().peak_bytes(40))
    log, advice = advise(device, ask())
    assert sizes(log) == [128, 64, 32, 32]
    assert advice.micro_batch_size == 32


def test_a_batch_that_is_kept_is_accumulated_where_it_does_not_fit() -> None:
    device = SimulatedDevice(limit_bytes=SimulatedDevice().peak_bytes(150))
    log, advice = advise(device, ask(*ALL, effective_batch_size=512))
    assert sizes(log) == [512, 256, 128, 128]
    assert (advice.micro_batch_size, advice.accumulation_steps) == (128, 4)
    assert advice.effective_batch_size == 512
    refusal = refuse(device, ask(effective_batch_size=512))
    assert refusal.code is RefusalCode.NO_FIT


def test_a_batch_that_the_commands_own_accumulation_cannot_make_is_refused() -> None:
    accumulating = a_reference(accumulation_steps=3, batch_size=384)
    device = SimulatedDevice(observation=an_observation(reference=accumulating))
    assert "say with {accumulation}" in refuse(device, ask(effective_batch_size=512)).message
    _, advice = advise(device, ask(*ALL, effective_batch_size=512))
    assert advice.effective_batch_size == 512


def test_the_budget_ends_the_doubling() -> None:
    log, advice = advise(SimulatedDevice(), ask(budget_s=4.0))
    assert len(sizes(log)) < len(sizes(advise(SimulatedDevice(), ask())[0]))
    assert advice.verified
    assert CaveatCode.MEMORY_SEARCH_CUT_SHORT in [one.code for one in advice.caveats]


def test_a_loop_without_a_loader_needs_values_to_begin_with() -> None:
    unseen = an_observation(reference=None)
    refusal = refuse(SimulatedDevice(observation=unseen), ask())
    assert "{batch=64}" in refusal.message

    def blind(command: Any, outcome: Any) -> Any:
        if isinstance(command, ObserveScript):
            return unseen
        return replace(outcome, setting=None) if isinstance(outcome, ScriptRun) else outcome

    _, advice = advise(Commanded(changed=blind), ask("{batch=64}", "{lr=0.5}"))
    assert advice.effective_batch_size >= 64
    assert advice.dataset_size is None


@pytest.mark.parametrize(
    ("observed", "arguments", "words"),
    [
        (an_observation(), ("{batch=32}",), "told to train with a batch of 32"),
        (an_observation(reference=a_reference(learning_rate=None)), (), "{lr=0.1}"),
        (Observation(end=ObservationEnd.SCRIPT_ENDED), (), "ended without an optimizer step"),
        (Observation(end=ObservationEnd.TIME_LIMIT, place="a.py:3"), (), "when it was at a.py:3"),
        (Observation(end=ObservationEnd.SCRIPT_ENDED, has_processes=True), (), "in one process"),
        (Failed(fault=a_fault()), ("{batch=8}",), "ValueError: no"),
        (Failed(fault=a_fault()), (), "give values to begin with"),
    ],
)
def test_why_there_is_no_advice_is_said(
    observed: Any, arguments: tuple[str, ...], words: str
) -> None:
    device = Commanded(changed=lambda command, outcome: observed)
    assert words in refuse(device, ask(*arguments)).message


def test_a_run_that_fails_or_is_too_short_is_why_there_is_no_advice() -> None:
    def ending(run: Any) -> Any:
        return Commanded(
            changed=lambda command, outcome: outcome if isinstance(command, ObserveScript) else run
        )

    short = ScriptRun(end=ObservationEnd.SCRIPT_ENDED, step_count=2)
    assert "2 optimizer steps" in refuse(ending(short), ask()).message
    assert "ValueError: no" in refuse(ending(Failed(fault=a_fault())), ask()).message


def test_a_command_needs_its_device() -> None:
    refusal = refuse(SimulatedDevice(), ask(), a_gpu(present=False, name="A100"))
    assert refusal.code is RefusalCode.DEVICE
    assert "A100 is not on this machine" in refusal.message


def test_a_last_run_that_is_slower_is_said_and_one_that_fails_makes_for_another_choice() -> None:
    runs = []

    def slower(command: Any, outcome: Any) -> Any:
        runs.append(command)
        if isinstance(command, RunScript) and command.measure_s == pytest.approx(3.0):
            return replace(outcome, step_times_s=tuple(3 * s for s in outcome.step_times_s))
        return outcome

    _, advice = advise(Commanded(changed=slower), ask())
    assert CaveatCode.SCRIPT_CHECK_DIFFERS in [one.code for one in advice.caveats]

    def failing(command: Any, outcome: Any) -> Any:
        is_last = isinstance(command, RunScript) and command.measure_s == pytest.approx(3.0)
        if is_last and outcome.setting.micro_batch_size > 128:
            return Failed(fault=a_fault())
        return outcome

    _, advice = advise(Commanded(changed=failing), ask())
    assert advice.micro_batch_size == 128
