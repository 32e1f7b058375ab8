"""A script is observed first: what it has is the reference, or the reason for no advice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bsadvise.model.advice import Advice, Refusal, RefusalCode
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import Command, InspectTask, ObserveScript
from bsadvise.model.measurements import (
    Failed,
    Fault,
    FaultCode,
    Log,
    Measurement,
    Outcome,
    TimedOut,
)
from bsadvise.model.observation import (
    BatchSource,
    Observation,
    ObservationEnd,
    Place,
    PlaceKind,
    Quantity,
)
from bsadvise.model.request import AdviceRequest, EntryKind

from advisor.planning.evidence.observation import next_observation
from advisor.planning.evidence.reference import reference_batch_size, reference_learning_rate
from advisor.planning.evidence.step import Commands
from advisor.planning.planner import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from tests.support.builders import (
    a_device,
    a_profile,
    a_reference,
    a_request,
    a_source,
    an_observation,
)
from tests.support.simulated_device import SimulatedDevice

PLANNER = RecommendationPlanner(OptunaProposer())


def a_script_request(**changes: Any) -> AdviceRequest:
    return a_request(source=a_source(entry_kind=EntryKind.SCRIPT), **changes)


def a_log(outcome: Outcome) -> Log:
    command = ObserveScript(time_limit_s=30.0, step_count=20)
    return (Measurement(command=command, outcome=outcome, wall_s=2.0),)


def objection(outcome: Outcome) -> Refusal | None:
    step = next_observation(PLANNER.read(a_script_request(), (a_device(),), a_log(outcome)))
    assert not isinstance(step, Command)
    return step


def test_a_script_is_observed_before_anything_else() -> None:
    plan = PLANNER.plan(PLANNER.read(a_script_request(), (a_device(),), ()))
    assert isinstance(plan, Commands)
    assert [type(command) for command in plan.commands] == [ObserveScript]


def test_a_model_file_is_not() -> None:
    assert next_observation(PLANNER.read(a_request(), (a_device(),), ())) is None


def test_where_only_that_is_asked_for_it_is_the_answer() -> None:
    seen = an_observation(reference=a_reference(micro_batch_size=32, accumulation_steps=4))
    view = PLANNER.read(a_script_request(observe_only=True), (a_device(),), a_log(seen))
    advice = PLANNER.plan(view)
    assert isinstance(advice, Advice)
    assert advice.reference == seen.reference
    assert (advice.micro_batch_size, advice.accumulation_steps) == (32, 4)
    assert (advice.effective_batch_size, advice.learning_rate) == (128, 0.1)
    assert not advice.verified
    assert CaveatCode.OBSERVED_ONLY in [caveat.code for caveat in advice.caveats]


def test_several_optimizers_are_said_to_be_there() -> None:
    seen = an_observation(reference=a_reference(optimizer_count=2))
    view = PLANNER.read(a_script_request(observe_only=True), (a_device(),), a_log(seen))
    advice = PLANNER.plan(view)
    assert isinstance(advice, Advice)
    assert CaveatCode.SEVERAL_OPTIMIZERS in [caveat.code for caveat in advice.caveats]


def test_what_was_seen_is_the_reference_recipe() -> None:
    own = a_profile(reference_batch_size=None, reference_learning_rate=None)
    inspected = Measurement(command=InspectTask(time_limit_s=9.0), outcome=own, wall_s=1.0)
    log = (*a_log(an_observation()), inspected)
    view = PLANNER.read(a_script_request(), (a_device(),), log)
    assert (reference_batch_size(view), reference_learning_rate(view)) == (128, 0.1)


def test_a_search_ends_with_advice_that_has_it_beside() -> None:
    simulated = SimulatedDevice()
    request = a_script_request(budget_s=20.0)
    log: Log = ()
    while isinstance(plan := PLANNER.plan(PLANNER.read(request, (a_device(),), log)), Commands):
        log = (*log, simulated.measure(plan.commands[0]))
    assert isinstance(plan, Advice)
    assert plan.reference == simulated.observation.reference


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"has_closure": True}, "closure"),
        ({"batch_source": BatchSource.BATCH_SAMPLER}, "batch sampler"),
        ({"batch_source": BatchSource.OTHER, "reference": None}, "No DataLoader"),
        (
            {"batch_source": BatchSource.SAME_TENSORS, "row_count": 2708, "reference": None},
            "all 2,708 rows",
        ),
        (
            {"batch_source": BatchSource.OTHER, "simulator": "gymnasium", "reference": None},
            "from gymnasium",
        ),
        ({"reference": a_reference(dataset_size=1)}, "one sample"),
        ({"reference": a_reference(learning_rate=None)}, "no `lr`"),
        ({"reference": None}, "could not be seen"),
    ],
)
def test_what_leaves_nothing_to_choose_is_said(changes: dict[str, Any], words: str) -> None:
    refusal = objection(replace(an_observation(), **changes))
    assert refusal is not None
    assert refusal.code is RefusalCode.MODEL_FILE
    assert words in refusal.message


@pytest.mark.parametrize(
    ("observation", "words"),
    [
        (Observation(end=ObservationEnd.SCRIPT_ENDED), "ended without an optimizer step"),
        (Observation(end=ObservationEnd.SCRIPT_ENDED, has_processes=True), "several training"),
        (Observation(end=ObservationEnd.TIME_LIMIT, place="train.py:12"), "at train.py:12"),
        (Observation(end=ObservationEnd.TIME_LIMIT), "within 30"),
    ],
)
def test_why_no_step_was_seen_is_said(observation: Observation, words: str) -> None:
    refusal = objection(observation)
    assert refusal is not None
    assert words in refusal.message


def test_a_script_that_fails_is_refused_with_its_place() -> None:
    fault = Fault(code=FaultCode.USER_EXCEPTION, message="KeyError: 'x'", file="train.py", line=3)
    refusal = objection(Failed(fault=fault))
    assert refusal is not None
    assert refusal.message == "train.py:3: KeyError: 'x'"


def test_a_script_that_hangs_is_refused() -> None:
    refusal = objection(TimedOut(limit_s=30.0, hook="the script"))
    assert refusal is not None
    assert refusal.message.startswith("the script did not end within 30 s")


def test_one_line_says_what_was_found() -> None:
    reference = a_reference(
        micro_batch_size=64,
        accumulation_steps=2,
        schedule_name="StepLR",
        precision="bf16",
        is_compiled=True,
    )
    assert str(reference) == (
        "batch 64 x 2 accumulated, lr 0.1, SGD, StepLR an epoch, bf16, compiled, 60,000 samples"
    )
    assert reference.place_of(Quantity.LEARNING_RATE) is None
    place = Place(
        quantity=Quantity.LEARNING_RATE,
        kind=PlaceKind.CONSTANT,
        name="LR",
        file="train.py",
        line=3,
    )
    assert "lr 0.1 (LR, train.py:3, not confirmed)" in str(replace(reference, where=(place,)))
    confirmed = replace(place, is_confirmed=True, name="peak")
    assert "lr 0.1 (peak, train.py:3)" in str(replace(reference, where=(place, confirmed)))
