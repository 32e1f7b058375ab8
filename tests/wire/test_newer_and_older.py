"""What a newer release sends or stored is read as far as it is known; an older one's whole."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from bsadvise.model.advice import Advice, Confidence, Refusal, RefusalCode
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import RunStep, Stage, TrialOrigin, stage_of
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.errors import BsadviseError, error_of_refusal
from bsadvise.model.measurements import Measurement
from bsadvise.model.recommendation import Event, Recommendation, State
from bsadvise.model.values import Unknown
from bsadvise.v1 import advice_pb2, device_pb2, measurement_pb2, recommendation_pb2
from bsadvise.wire.messages import from_message, to_message
from bsadvise.wire.plain import to_plain
from google.protobuf.message import Message

from advisor.messages import from_message as from_own_message
from advisor.serialization import from_dict, from_row
from tests.support.builders import a_device, a_measurement, an_advice
from tests.support.wire_samples import step_run_measurement, wire_advice

NEW_FIELD = b"\x9a\x3f\x03new"  # field 1011, three bytes


def with_bytes(message: Any, more: bytes) -> Any:
    """Return a message as a newer release would have sent it: with ``more`` behind it."""
    return type(message).FromString(message.SerializeToString() + more)


def enum_field(number: int, value: int) -> bytes:
    """Return the bytes of an enum field; both numbers below 128 take a byte, others two."""
    return b"".join(_varint(one) for one in (number << 3, value))


def _varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80, high]) if high else bytes([low])


def test_an_enum_value_of_a_newer_daemon_keeps_its_number() -> None:
    field = advice_pb2.Advice.DESCRIPTOR.fields_by_name["confidence"].number
    advice = from_message(with_bytes(wire_advice(), enum_field(field, 17)), Advice)

    assert not advice.confidence.is_known
    assert advice.confidence.name == "UNKNOWN"
    assert advice.confidence.said == 17
    assert advice.confidence not in set(Confidence)
    assert json.loads(json.dumps(advice.to_dict()))["confidence"] == "unknown(17)"
    assert advice.micro_batch_size == 32


def test_an_unknown_value_is_one_object_however_it_is_made() -> None:
    unknown = Confidence.unknown(17)

    assert unknown is Confidence.unknown(17) is Confidence("unknown(17)")
    assert pickle.loads(pickle.dumps(unknown)) is copy.deepcopy(unknown) is unknown  # noqa: S301
    assert unknown != Confidence.unknown(18)
    assert list(Confidence) == [Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW]
    with pytest.raises(ValueError, match="certain"):
        Confidence("certain")


def test_a_command_and_an_outcome_of_a_newer_daemon_keep_the_number_of_their_field() -> None:
    newer = b"\xfa\x06\x00"  # field 111, empty
    message = measurement_pb2.Measurement(
        command=with_bytes(measurement_pb2.Command(), newer),
        outcome=with_bytes(measurement_pb2.Outcome(), newer),
        wall_s=1.5,
    )

    found = from_message(message, Measurement)

    assert found == Measurement(
        command=Unknown(number=111), outcome=Unknown(number=111), wall_s=1.5
    )
    assert stage_of(found.command) is Stage.unknown(111)
    assert found.to_dict()["outcome"] == {"unknown": {"kind": None, "number": 111}}


def test_fields_of_a_newer_daemon_are_passed_over_at_every_depth() -> None:
    message = with_bytes(step_run_measurement(), NEW_FIELD)
    message.command.run_step.MergeFromString(NEW_FIELD)

    found = from_message(message, Measurement)

    assert found == from_message(step_run_measurement(), Measurement)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Event, recommendation_pb2.Event()),
        (Measurement, measurement_pb2.Measurement()),
        (Recommendation, recommendation_pb2.Recommendation()),
        (Advice, advice_pb2.Advice()),
    ],
)
def test_what_a_daemon_does_not_send_is_nothing(cls: type[Any], message: Message) -> None:
    found = from_message(message, cls)

    json.dumps(found.to_dict(), allow_nan=False)
    match found:
        case Event(happening=happening):
            assert happening == Unknown()
        case Measurement(command=command):
            assert command == Unknown()
        case Recommendation(state=state):
            assert state is State.unknown(0)
            assert not state.is_final
        case Advice(caveats=caveats):
            assert caveats == ()


def test_a_refusal_of_an_unknown_kind_is_an_error_with_its_message() -> None:
    refusal = Refusal(code=RefusalCode.unknown(99), message="The moon is full.")

    error = error_of_refusal(refusal)

    assert type(error) is BsadviseError
    assert str(error) == "The moon is full."


def test_the_worker_s_pipe_takes_nothing_unknown() -> None:
    device = with_bytes(device_pb2.Device(device_id="cpu", total_bytes=1), enum_field(3, 17))
    with pytest.raises(ValueError, match="kind: 17 is not one of"):
        from_own_message(device, Device)


def test_a_row_of_a_newer_release_keeps_the_words_that_are_not_known() -> None:
    row: dict[str, Any] = to_plain(a_measurement()) | {"surprise": 1}
    row["outcome"] = {"dreams": {"count": 3}}
    device = to_plain(a_device()) | {"kind": "DEVICE_KIND_ABACUS"}

    assert from_row(row, Measurement).outcome == Unknown(kind="dreams")
    assert from_row(row, Measurement).command == a_measurement().command
    assert from_row(device, Device).kind is DeviceKind.unknown("DEVICE_KIND_ABACUS")
    for data, cls in ((row, Measurement), (device, Device)):
        with pytest.raises(ValueError, match="is not"):
            from_dict(data, cls)


def test_a_row_that_lacks_what_has_no_default_is_refused() -> None:
    row = to_plain(a_measurement())
    del row["wall_s"]
    with pytest.raises(ValueError, match="wall_s is missing"):
        from_row(row, Measurement)


def test_what_a_daemon_does_not_know_itself_it_passes_on_as_far_as_it_can() -> None:
    device = a_device(kind=DeviceKind.unknown(17))
    entry = Measurement(
        command=RunStep(time_limit_s=1.0, micro_batch_size=1),
        outcome=Unknown(kind="dreams"),
        wall_s=1.0,
    )

    assert from_message(to_message(device, device_pb2.Device()), Device) == device
    sent = to_message(entry, measurement_pb2.Measurement())
    assert from_message(sent, Measurement).outcome == Unknown()


def test_a_caveat_is_sent_with_its_code_and_as_text_for_old_clients() -> None:
    caveats = (Caveat(code=CaveatCode.NO_SANDBOX, text="It could read all."),)
    message = to_message(an_advice(caveats=caveats), advice_pb2.Advice())

    assert list(message.caveats) == ["It could read all."]
    assert message.coded_caveats[0].code == "no_sandbox"
    assert from_message(message, Advice).caveats == caveats
    assert an_advice(caveats=caveats).to_dict()["caveats"] == [
        {"text": "It could read all.", "code": "no_sandbox"}
    ]


def test_a_caveat_of_an_old_daemon_has_no_code() -> None:
    found = from_message(wire_advice(caveats=["Beware."], coded_caveats=[]), Advice)

    assert found.caveats == (Caveat(text="Beware.", code="unspecified"),)


@pytest.mark.parametrize("name", ["TRIAL_ORIGIN_RIDGE", "TRIAL_ORIGIN_NEIGHBOUR"])
def test_a_name_of_the_past_stands_for_the_number_of_the_present_one(name: str) -> None:
    number = measurement_pb2.TrialOrigin.Value(name)
    train = measurement_pb2.Train(origin=number)
    command = measurement_pb2.Command(train=train)

    found = from_message(measurement_pb2.Measurement(command=command), Measurement)

    assert found.to_dict()["command"]["train"]["origin"] == "neighbour"
    assert getattr(found.command, "origin", None) is TrialOrigin.NEIGHBOUR
    assert found.outcome == Unknown()
