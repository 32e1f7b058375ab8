"""Every field that strangers send has a limit: what the daemon reads is bounded by one table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bsadvise.model.measurements import StepTimes
from bsadvise.v1 import (
    device_service_pb2,
    measurement_pb2,
    memory_service_pb2,
    recommendation_pb2,
    recommendation_service_pb2,
    source_service_pb2,
    token_service_pb2,
)
from google.protobuf.message import Message

from advisor.domain.limits import FIELDS, Binary, Items, Number, Text, most_bytes
from advisor.messages import OutOfLimits, clip, from_message, violations
from advisor.pipe.v1 import pipe_pb2
from advisor.service.server import SERVICE_NAMES

SERVICES = [
    service
    for module in (
        device_service_pb2,
        memory_service_pb2,
        recommendation_service_pb2,
        source_service_pb2,
        token_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
]
ROOTS = [
    *(method.input_type for service in SERVICES for method in service.methods),
    source_service_pb2.SourceBundle.DESCRIPTOR,
    pipe_pb2.FromWorker.DESCRIPTOR,
    pipe_pb2.FromForkServer.DESCRIPTOR,
]


def _reached(message: Any, seen: dict[str, Any]) -> dict[str, Any]:
    if message.full_name not in seen and not message.GetOptions().map_entry:
        seen[message.full_name] = message
        for field in message.fields:
            if field.message_type is not None:
                _reached(field.message_type, seen)
    return seen


def _all_messages() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for root in ROOTS:
        _reached(root, found)
    return found


def _fields() -> Iterator[tuple[str, Any]]:
    for message in _all_messages().values():
        for field in message.fields:
            yield message.name, field


KINDS = {"string": Text, "bytes": Binary, "number": Number}


def _kind(field: Any) -> str | None:
    """Return what a field's values are; None for a message, an enum or a truth value."""
    if field.message_type is not None or field.enum_type is not None:
        return None
    kinds = {field.TYPE_STRING: "string", field.TYPE_BYTES: "bytes", field.TYPE_BOOL: None}
    return kinds.get(field.type, "number")


def test_every_service_is_looked_at() -> None:
    assert sorted(SERVICE_NAMES) == sorted(service.full_name for service in SERVICES)


def test_no_two_messages_share_a_name() -> None:
    names = [message.name for message in _all_messages().values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("message", "field"), list(_fields()))
def test_every_field_has_a_limit_of_its_kind(message: str, field: Any) -> None:
    limit = FIELDS.get(message, {}).get(field.name)
    kind = _kind(field)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        assert isinstance(limit, Items)
        assert isinstance(limit.key, Text)
        assert isinstance(limit.each, Text)
    elif field.is_repeated:
        assert isinstance(limit, Items)
        assert kind is None or isinstance(limit.each, KINDS[kind])
    elif kind is not None:
        assert isinstance(limit, KINDS[kind])
    else:
        assert limit is None


def test_the_table_names_no_field_that_there_is_not() -> None:
    known = {message.name: set(message.fields_by_name) for message in _all_messages().values()}
    assert {name: set(fields) - known.get(name, set()) for name, fields in FIELDS.items()} == {
        name: set() for name in FIELDS
    }


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: str(root.name))
def test_every_message_that_stands_alone_has_a_size(root: Any) -> None:
    assert 0 < most_bytes(root.name) <= 64 << 20


OUT_OF_LIMITS: dict[str, tuple[Message, str]] = {
    "a list that is too long": (
        measurement_pb2.StepTimes(step_times_s=[1.0] * 10_001),
        "step_times_s",
    ),
    "a time of nothing": (measurement_pb2.StepTimes(step_times_s=[0.0]), "step_times_s"),
    "no number": (measurement_pb2.Evaluation(held_out_loss=float("nan")), "held_out_loss"),
    "no bytes": (measurement_pb2.StepRun(), "peak_bytes"),
    "a part": (
        measurement_pb2.TaskProfile(optimizer=measurement_pb2.OptimizerProfile(momentum=1e7)),
        "optimizer.momentum",
    ),
    "a long text": (recommendation_pb2.AdviceRequest(device="x" * 1_000), "device"),
    "many entries": (
        recommendation_pb2.AdviceRequest(build_kwargs={f"a{n}": "" for n in range(300)}),
        "build_kwargs",
    ),
    "a long key": (
        recommendation_pb2.AdviceRequest(build_kwargs={"a" * 1_000: ""}),
        "build_kwargs",
    ),
    "a large number": (recommendation_pb2.AdviceRequest(world_size=1 << 30), "world_size"),
    "zero where more is needed": (recommendation_pb2.AdviceRequest(budget_s=0), "budget_s"),
}


@pytest.mark.parametrize("name", OUT_OF_LIMITS)
def test_what_is_out_of_limits_is_named(name: str) -> None:
    message, path = OUT_OF_LIMITS[name]
    assert path in {found for found, _ in violations(message)}


def test_what_is_out_of_limits_is_not_read() -> None:
    message = measurement_pb2.StepTimes(step_times_s=[0.0], optimizer_times_s=[0.0])
    with pytest.raises(OutOfLimits, match="step_times_s must be at least 1e-09, not"):
        from_message(message, StepTimes)


def test_what_is_sent_is_cut_to_its_limits() -> None:
    fault = measurement_pb2.Fault(message="x" * 100_000, hook="y" * 10_000)
    trace = measurement_pb2.MemoryTrace(peak_bytes=1, caveats=["z" * 5_000] * 100)
    for message in (fault, trace):
        assert list(violations(message))
        clip(message)
        assert not list(violations(message))
    assert len(trace.caveats) == 32
