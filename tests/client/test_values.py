"""What the user gets of an answer: every field, null where nothing was measured."""

from __future__ import annotations

import dataclasses
import json

import pytest
from bsadvise.model.advice import Advice, Confidence, Evidence, Interval, MemoryEstimate
from bsadvise.model.measurements import Fault, FaultCode, StepRun
from bsadvise.model.recommendation import Event, Measured
from bsadvise.v1 import recommendation_pb2
from bsadvise.wire.messages import from_message

from tests.support.wire_samples import (
    GIB,
    measured,
    step_run_measurement,
    wire_advice,
    wire_estimate,
    wire_rule_advice,
)


def test_advice_is_read_whole() -> None:
    found = from_message(wire_advice(), Advice)

    assert found.micro_batch_size == 32
    assert found.lr_evidence is Evidence.MEASURED
    assert found.confidence is Confidence.HIGH
    assert found.betas == (0.9, 0.95)
    assert found.momentum is None
    assert found.samples_per_s_interval == Interval(low=1200.0, high=1260.0)
    assert found.alternatives[0].relative_samples is None
    assert found.search.pruned_count == 7


def test_what_was_not_measured_is_null() -> None:
    document = from_message(wire_rule_advice(), Advice).to_dict()

    assert document["measured_peak_bytes"] is None
    assert document["samples_per_s_interval"] is None
    assert document["noise_scale"] is None
    assert document["betas"] == []
    assert document["search"]["cache_hit"] is False
    assert -1 not in document.values()


def test_a_dictionary_has_every_field_and_goes_into_json() -> None:
    document = json.loads(json.dumps(from_message(wire_advice(), Advice).to_dict()))

    assert set(document) == {field.name for field in dataclasses.fields(Advice)}
    assert document["lr_evidence"] == "measured"
    assert document["samples_per_s_interval"] == {"low": 1200.0, "high": 1260.0}


def test_a_figure_that_is_not_finite_is_null() -> None:
    message = wire_advice(noise_scale=float("inf"))

    assert from_message(message, Advice).to_dict()["noise_scale"] is None


def test_an_event_holds_the_member_that_was_sent() -> None:
    message = recommendation_pb2.Event(
        sequence=3, at_s=7.0, happening=measured(step_run_measurement(), best=wire_advice())
    )

    event = from_message(message, Event)

    assert isinstance(event.happening, Measured)
    assert event.happening.measurement.outcome == StepRun(peak_bytes=12 * GIB)
    document = event.to_dict()
    assert document["happening"]["measured"]["measurement"]["command"] == {
        "run_step": {
            "time_limit_s": 60.0,
            "micro_batch_size": 32,
            "accumulation_steps": 2,
            "sample": None,
        }
    }


def test_an_estimate_carries_curve_and_parts() -> None:
    document = from_message(wire_estimate(), MemoryEstimate).to_dict()

    assert document["points"][0] == {"micro_batch_size": 8, "peak_bytes": 4 * GIB}
    assert document["parts"]["parameter_bytes"] == GIB


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("No module named 'lightning'", "No module named 'lightning'. Install it."),
        ("It ended.", "It ended. Install it."),
        ("What (really?)", "What (really?) Install it."),
        ("one of:\n", "one of. Install it."),
        ("he said “no!”", "he said “no!” Install it."),
    ],
)
def test_a_fault_and_its_remedy_are_two_sentences(message: str, words: str) -> None:
    fault = Fault(code=FaultCode.USER_EXCEPTION, message=message, fix="Install it.")
    assert str(fault) == words
    assert str(dataclasses.replace(fault, fix=None)) == message
