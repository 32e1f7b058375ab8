"""Messages to values, with every wrong field named at once, and values to messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bsadvise.model.recommendation import Recommendation, Waiting
from bsadvise.model.request import AdviceRequest, Source
from bsadvise.model.token import Scope
from bsadvise.v1 import recommendation_pb2, token_service_pb2
from bsadvise.wire.messages import message_to_plain, to_message

from advisor.domain.access import Token
from advisor.domain.errors import FieldViolation, InvalidRequest
from advisor.messages import violations
from advisor.serialization import from_dict

_SCOPES = {
    Scope.READ: token_service_pb2.SCOPE_READ,
    Scope.RUN: token_service_pb2.SCOPE_RUN,
    Scope.ADMIN: token_service_pb2.SCOPE_ADMIN,
}

_ANY_SOURCE = {"digest": "0" * 64, "entry_path": "any.py"}


def advice_request(message: recommendation_pb2.AdviceRequest) -> AdviceRequest:
    """Return the request in a message.

    Raises:
        InvalidRequest: Fields do not say what they must; it names each of them.
    """
    data = message_to_plain(message)
    found = {violation.field: violation for violation in _violations(data)}
    for path, complaint in violations(message, "request"):
        found.setdefault(path, FieldViolation(path, complaint))
    if found:
        raise InvalidRequest(*found.values())
    return from_dict(data, AdviceRequest)


def recommendation_message(value: Recommendation) -> recommendation_pb2.Recommendation:
    """Return the message of a recommendation."""
    return to_message(value, recommendation_pb2.Recommendation())


def waiting_message(value: Waiting) -> recommendation_pb2.Waiting:
    """Return the message that says where a recommendation stands."""
    return to_message(value, recommendation_pb2.Waiting())


def token_message(value: Token) -> token_service_pb2.Token:
    """Return the message of a token: all but its digest."""
    return token_service_pb2.Token(
        token_id=value.token_id,
        principal=value.principal,
        scope=_SCOPES[value.scope],
        created_at_s=value.created_at_s,
        expires_at_s=value.expires_at_s,
        revoked_at_s=value.revoked_at_s,
    )


def scope(message: token_service_pb2.Scope.ValueType) -> Scope:
    """Return the scope that a message names. Raises InvalidRequest."""
    found = {wire: value for value, wire in _SCOPES.items()}.get(message)
    if found is None:
        raise InvalidRequest(
            FieldViolation("scope", "must be SCOPE_READ, SCOPE_RUN or SCOPE_ADMIN")
        )
    return found


def _violations(data: dict[str, Any]) -> Iterator[FieldViolation]:
    # Each field is tried in a request that is right but for it: what the classes say of their
    # own fields is then said once, there.
    source = data.get("source", {})
    for name in _ANY_SOURCE.keys() | source.keys():
        value = {name: source.get(name, "")}
        yield from _try(f"source.{name}", _ANY_SOURCE | value, Source)
    for name in data.keys() - {"source"}:
        yield from _try(name, {"source": _ANY_SOURCE, name: data[name]}, AdviceRequest)


def _try(path: str, data: dict[str, Any], cls: type) -> Iterator[FieldViolation]:
    try:
        from_dict(data, cls)
    except ValueError as error:
        reason = str(error).removeprefix(f"not a {cls.__name__}: ")
        yield FieldViolation(f"request.{path}", reason.removeprefix(f"{path.rpartition('.')[2]}: "))
