"""The user's dataclasses are the wire's messages, field for field."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from enum import StrEnum
from typing import Any

import pytest
from bsadvise.model import advice, commands, device, measurements, recommendation, request, task
from bsadvise.model.advice import Advice, Confidence, Evidence, Interval, MemoryEstimate
from bsadvise.model.errors import UnexpectedReply
from bsadvise.model.measurements import Measurement, StepRun
from bsadvise.model.recommendation import Event, Measured
from bsadvise.model.values import Value
from bsadvise.transport.decoding import from_message
from bsadvise.v1 import advice_pb2, device_pb2, measurement_pb2, recommendation_pb2

from tests.support.wire_samples import (
    GIB,
    measured,
    step_run_measurement,
    wire_advice,
    wire_estimate,
    wire_rule_advice,
)

WIRE = {
    name: descriptor
    for module in (advice_pb2, device_pb2, measurement_pb2, recommendation_pb2)
    for name, descriptor in module.DESCRIPTOR.message_types_by_name.items()
}
WIRE_ENUMS = {
    name: descriptor
    for module in (advice_pb2, device_pb2, measurement_pb2, recommendation_pb2)
    for name, descriptor in module.DESCRIPTOR.enum_types_by_name.items()
}
MODULES = (advice, commands, device, measurements, recommendation, request, task)


def _classes_of(root: type) -> list[Any]:
    found = {
        item
        for module in MODULES
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, root) and item.__module__ == module.__name__
    }
    return sorted(found, key=lambda item: item.__name__)


@pytest.mark.parametrize("cls", _classes_of(Value), ids=lambda cls: cls.__name__)
def test_a_dataclass_has_the_fields_of_its_message(cls: Any) -> None:
    fields = {field.name for field in dataclasses.fields(cls)}

    assert fields == set(WIRE[cls.__name__].fields_by_name)


@pytest.mark.parametrize("cls", _classes_of(Value), ids=lambda cls: cls.__name__)
def test_what_the_wire_may_leave_out_has_a_default_or_may_be_none(cls: Any) -> None:
    hints = typing.get_type_hints(cls)
    defaults = {f.name for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}
    for name, field in WIRE[cls.__name__].fields_by_name.items():
        is_optional_scalar = field.has_presence and field.message_type is None
        allows_none = isinstance(hints[name], types.UnionType) and type(None) in typing.get_args(
            hints[name]
        )
        assert allows_none or name in defaults or not is_optional_scalar, name


@pytest.mark.parametrize(
    "cls", [c for c in _classes_of(StrEnum) if c.__name__ != "Stage"], ids=lambda cls: cls.__name__
)
def test_an_enum_has_the_values_of_the_wire(cls: Any) -> None:
    wire_names = {value.name for value in WIRE_ENUMS[cls.__name__].values if value.number}
    prefix = "_".join(next(iter(wire_names)).split("_")[: -len(next(iter(cls)).name.split("_"))])

    assert len(wire_names) == len(cls)
    assert all(any(name.endswith(member.name) for name in wire_names) for member in cls), prefix
    assert all(member.value == member.name.lower() for member in cls)


def test_every_message_of_the_log_has_its_dataclass() -> None:
    known = {cls.__name__ for cls in _classes_of(Value)}
    unions = {"Command", "Outcome", "Happening"}

    assert set(WIRE) <= known | unions


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

    assert set(document) == set(WIRE["Advice"].fields_by_name)
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
        "run_step": {"time_limit_s": 60.0, "micro_batch_size": 32, "accumulation_steps": 2}
    }


def test_an_estimate_carries_curve_and_parts() -> None:
    document = from_message(wire_estimate(), MemoryEstimate).to_dict()

    assert document["points"][0] == {"micro_batch_size": 8, "peak_bytes": 4 * GIB}
    assert document["parts"]["parameter_bytes"] == GIB


def test_an_enum_value_of_a_newer_daemon_is_refused_by_name() -> None:
    message = wire_advice()
    message.MergeFromString(advice_pb2.Advice(confidence=99).SerializeToString())  # type: ignore[arg-type] # no such value

    with pytest.raises(UnexpectedReply, match="confidence is 99"):
        from_message(message, Advice)


def test_a_kind_of_measurement_of_a_newer_daemon_is_refused() -> None:
    message = measurement_pb2.Measurement(command=step_run_measurement().command, wall_s=1)

    with pytest.raises(UnexpectedReply, match="Outcome"):
        from_message(message, Measurement)
