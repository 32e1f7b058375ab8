"""The catalogue of errors is whole, and gives away nothing that was not meant for callers."""

from __future__ import annotations

import inspect
from urllib.parse import quote

import pytest
from bsadvise.model.advice import Refusal, RefusalCode
from bsadvise.model.measurements import Fault, FaultCode
from google.rpc import code_pb2, error_details_pb2

from advisor.domain import errors
from advisor.domain.errors import AdvisorError, FieldViolation, InvalidRequest, NoAnswer
from advisor.service.errors import CATALOGUE, ERROR_DOMAIN, to_status
from tests.support.builders import a_refusal

ALL_ERRORS = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, AdvisorError) and value is not AdvisorError
]


@pytest.mark.parametrize("error_class", ALL_ERRORS)
def test_every_error_is_in_the_catalogue(error_class: type[AdvisorError]) -> None:
    public = CATALOGUE[error_class]
    assert public.code not in (code_pb2.OK, code_pb2.UNKNOWN)
    assert public.reason == public.reason.upper()


def test_the_catalogue_has_no_other_error() -> None:
    assert set(CATALOGUE) == set(ALL_ERRORS)
    reasons = [public.reason for public in CATALOGUE.values()]
    assert len(set(reasons)) == len(reasons)


def test_an_unexpected_error_keeps_its_words_to_itself() -> None:
    status = to_status(RuntimeError("password=secret"))
    assert status.code == code_pb2.INTERNAL
    assert "secret" not in str(status)


def test_the_database_s_words_are_not_sent() -> None:
    status = to_status(errors.StoreUnavailable("/home/me/state.db is full"))
    assert status.code == code_pb2.UNAVAILABLE
    assert "/home/me" not in str(status)


def test_violations_come_as_details() -> None:
    status = to_status(InvalidRequest(FieldViolation("a", "x"), FieldViolation("b", "y")))
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad_request)
    assert info.domain == ERROR_DOMAIN
    assert [(v.field, v.description) for v in bad_request.field_violations] == [
        ("a", "x"),
        ("b", "y"),
    ]


@pytest.mark.parametrize("code", RefusalCode)
def test_a_refusal_gives_its_code_as_the_reason(code: RefusalCode) -> None:
    status = to_status(NoAnswer(a_refusal(code=code)))
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert info.reason == code.name
    expected = code_pb2.INTERNAL if code is RefusalCode.INTERNAL else code_pb2.FAILED_PRECONDITION
    assert status.code == expected


@pytest.mark.parametrize("text", ["x" * 100_000, "é" * 100_000, "\ud800" * 100_000, "%\n" * 9_000])
def test_what_a_caller_sends_fits_the_trailers(text: str) -> None:
    violations = [FieldViolation(f"{number}{text}", text) for number in range(100)]
    fault = Fault(
        code=FaultCode.USER_EXCEPTION, message=text, hook=text, file=text, line=1, fix=text,
        traceback=text, output=text,
    )  # fmt: skip
    for error in (
        InvalidRequest(*violations),
        NoAnswer(Refusal(code=RefusalCode.MODEL_FILE, message=text, fault=fault)),
        errors.RequestIdReused(text, "an-id"),
        errors.NotFound(text),
    ):
        status = to_status(error)
        assert 4 * status.ByteSize() / 3 + len(quote(status.message)) < 8_000
        assert status.message


def test_a_fault_is_told_whole_and_fits_the_trailers() -> None:
    fault = Fault(
        code=FaultCode.PROCESS_DIED, message="It ended.", hook="build_model", file="model.py",
        line=3, fix="Do not.", traceback="frames", output="x" * 9000 + "the end",
    )  # fmt: skip
    refusal = Refusal(code=RefusalCode.MODEL_FILE, message=str(fault), fault=fault)
    status = to_status(NoAnswer(refusal))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert status.message == "model.py:3: in build_model: It ended. Do not."
    assert dict(info.metadata) == {
        "code": "process_died", "message": "It ended.", "hook": "build_model", "file": "model.py",
        "line": "3", "fix": "Do not.", "traceback": "frames",
        "output": info.metadata["output"],
    }  # fmt: skip
    assert info.metadata["output"].endswith("the end")
    assert status.ByteSize() < 8000
