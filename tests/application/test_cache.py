"""Requests share an answer just when they must have the same one, and while it still holds."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from bsadvise.model.device import Device
from bsadvise.model.horizon import (
    LearningRateSchedule,
    LengthUnit,
    ScheduleShape,
    TrainingLength,
)
from bsadvise.model.request import AdviceRequest, Objective, Priority, PriorScope

from advisor.application.cache import Fingerprints, is_reusable
from advisor.application.sharing import SharingPolicy
from advisor.application.versions import Versions
from advisor.planning.tuning.tuning import DEFAULT_TUNING
from tests.support.bench import VERSIONS
from tests.support.builders import GIB, a_device, a_gpu, a_request, a_source, an_advice

MEMORY = DEFAULT_TUNING.evidence.memory

CHANGES: dict[str, Any] = {
    "source": a_source(digest="cd" * 32),
    "memory_limit_bytes": GIB,
    "margin_bytes": 1,
    "world_size": 2,
    "effective_batch_size": 64,
    "objective": Objective.MEMORY,
    "target_loss": 0.5,
    "budget_s": 61.0,
    "max_trials": 3,
    "seed": 1,
    "build_kwargs": {"width": "2"},
    "python": "/opt/venv/bin/python",
    "prior": PriorScope.PRINCIPAL,
    "device_hour_price": 2.5,
    "train_for": TrainingLength(amount=9, unit=LengthUnit.EPOCHS),
    "schedule": LearningRateSchedule(shape=ScheduleShape.COSINE),
    "observe_only": True,
    "model_class": "Net",
    "data_paths": {"data": "/data"},
    "budget_share": 0.05,
}
NO_BEARING: dict[str, Any] = {"device": "auto", "use_cache": False, "priority": Priority.HIGH}


def key_of(
    request: AdviceRequest | None = None,
    device: Device | None = None,
    *,
    principal: str = "alice",
    versions: Versions = VERSIONS,
    policy: SharingPolicy | None = None,
) -> str:
    fingerprints = Fingerprints(versions=versions, policy=policy or SharingPolicy(), memory=MEMORY)
    return fingerprints.of(principal, request or a_request(), device or a_device())


def test_every_field_is_said_to_bear_on_the_answer_or_not() -> None:
    assert CHANGES.keys() | NO_BEARING.keys() == {field.name for field in fields(AdviceRequest)}


@pytest.mark.parametrize("name", CHANGES)
def test_what_bears_on_the_answer_changes_the_key(name: str) -> None:
    changed = replace(a_request(), **{name: CHANGES[name]})
    assert key_of(changed, a_device()) != key_of(a_request(), a_device())


def test_what_lies_outside_the_bundle_changes_the_key() -> None:
    def key(version: str) -> str:
        fingerprints = Fingerprints(
            versions=VERSIONS,
            policy=SharingPolicy(),
            memory=MEMORY,
            outside=lambda request: {"torch": [request.python, version]},
        )
        return fingerprints.of("alice", a_request(python="/opt/bin/python"), a_device())

    assert key("2.4.0") == key("2.4.0") != key("2.5.0")


def test_the_command_line_changes_the_key() -> None:
    changed = a_request(source=a_source(arguments=("--width", "3")))
    assert key_of(changed) != key_of()


@pytest.mark.parametrize("name", NO_BEARING)
def test_what_does_not_leaves_it(name: str) -> None:
    changed = replace(a_request(), **{name: NO_BEARING[name]})
    assert key_of(changed, a_device()) == key_of(a_request(), a_device())


def test_the_order_of_arguments_does_not_matter() -> None:
    one = a_request(build_kwargs={"a": "1", "b": "2"})
    other = a_request(build_kwargs={"b": "2", "a": "1"})
    assert key_of(one, a_device()) == key_of(other, a_device())


def test_cards_that_are_alike_share_answers_and_others_do_not() -> None:
    key = key_of(a_request(), a_gpu(0))
    assert key == key_of(a_request(), a_gpu(1, free_bytes=GIB))
    assert key != key_of(a_request(), a_gpu(0, driver_version="1"))
    assert key != key_of(a_request(), a_gpu(0, total_bytes=40 * GIB))
    assert key != key_of(a_request(), a_gpu(0, present=False))


@pytest.mark.parametrize("name", [field.name for field in fields(Versions)])
def test_another_version_of_what_decides_changes_the_key(name: str) -> None:
    other = replace(VERSIONS, **{name: "another"})
    assert key_of(versions=other) != key_of()


def test_principals_share_answers_where_they_may() -> None:
    assert key_of(principal="alice") != key_of(principal="bob")
    shared = SharingPolicy(cache_is_shared=True)
    assert key_of(principal="alice", policy=shared) == key_of(principal="bob", policy=shared)


def test_advice_that_no_longer_fits_is_not_given() -> None:
    advice = an_advice(measured_peak_bytes=6 * GIB, predicted_peak_bytes=5 * GIB)
    assert is_reusable(advice, a_request(), a_device(free_bytes=6 * GIB), MEMORY)
    assert not is_reusable(advice, a_request(), a_device(free_bytes=6 * GIB - 1), MEMORY)


def test_advice_that_was_not_run_is_judged_by_its_prediction() -> None:
    advice = an_advice(predicted_peak_bytes=5 * GIB)
    assert not is_reusable(advice, a_request(), a_device(free_bytes=5 * GIB - 1), MEMORY)


def test_advice_that_memory_bounded_is_not_given_when_there_is_more() -> None:
    bounded = an_advice(micro_batch_size=32, max_micro_batch_size=40, budget_bytes=4 * GIB)
    unbounded = an_advice(micro_batch_size=32, max_micro_batch_size=400, budget_bytes=4 * GIB)
    roomy = a_device(free_bytes=8 * GIB)
    assert not is_reusable(bounded, a_request(), roomy, MEMORY)
    assert is_reusable(unbounded, a_request(), roomy, MEMORY)
    assert is_reusable(bounded, a_request(), a_device(free_bytes=4 * GIB), MEMORY)
    limited = a_request(memory_limit_bytes=4 * GIB)
    assert is_reusable(bounded, limited, roomy, MEMORY)  # the limit is what it was


def test_advice_for_a_card_that_is_not_here_always_holds() -> None:
    card = a_gpu(free_bytes=None, present=False)
    assert is_reusable(an_advice(predicted_peak_bytes=1 << 50), a_request(), card, MEMORY)
