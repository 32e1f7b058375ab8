"""Domain values to and from rows.

Each value is one column of JSON text, which carries the release that wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from bsadvise.model.advice import Advice, Refusal, RefusalCode
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.measurements import Measurement
from bsadvise.model.recommendation import (
    Event,
    Happening,
    Measured,
    Recommendation,
    State,
    StateChanged,
)
from bsadvise.model.request import AdviceRequest, Priority, Source
from bsadvise.model.values import Unknown, snake_case
from bsadvise.version import __version__
from bsadvise.wire.plain import to_plain, union_to_plain
from sqlalchemy import Row

from advisor.domain.errors import RecordUnreadable
from advisor.serialization import from_row
from advisor.store.upcasts import FIRST_RELEASE, WRITER_VERSION, upcast

T = TypeVar("T")

_MISREADINGS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a text as JSON of a value raises when it is anything else."""

PRIORITY_RANKS = {Priority.LOW: 0, Priority.NORMAL: 1, Priority.HIGH: 2}


def recommendation_values(recommendation: Recommendation, host: str) -> dict[str, Any]:
    """Return the columns of a recommendation that is new, for a device of a host."""
    request = _to_json(to_plain(recommendation.request))
    return {
        "host": host,
        "kept_bytes": len(request),
        "source_digest": recommendation.request.source.digest,
        "recommendation_id": recommendation.recommendation_id,
        "request_key": request_key(recommendation),
        "request": request,
        "device": _to_json(to_plain(recommendation.device)),
        "fingerprint": recommendation.fingerprint,
        "created_at_s": recommendation.created_at_s,
        "updated_at_s": recommendation.updated_at_s,
        "cancel_requested": recommendation.cancel_requested,
        "principal": recommendation.principal,
        "priority_rank": PRIORITY_RANKS[recommendation.request.priority],
        "budget_s": recommendation.request.budget_s,
    } | change_values(first_change(recommendation))


def request_key(recommendation: Recommendation) -> str:
    """Return what is unique about a request: neither part holds a space."""
    return f"{recommendation.principal} {recommendation.request_id}"


def first_change(recommendation: Recommendation) -> StateChanged:
    """Return the happening that a recommendation begins with."""
    return StateChanged(
        state=recommendation.state, advice=recommendation.advice, refusal=recommendation.refusal
    )


def change_values(change: StateChanged) -> dict[str, Any]:
    """Return the columns that a change of state sets."""
    return {
        "state": change.state.value,
        "advice": _to_json(to_plain(change.advice)) if change.advice else None,
        "refusal": _to_json(to_plain(change.refusal)) if change.refusal else None,
        "refusal_code": change.refusal.code.value if change.refusal else None,
    }


def to_listed(row: Row[Any]) -> Recommendation:
    """Return the recommendation of a whole row, or what can be said of one not understood."""
    try:
        return to_recommendation(row)
    except RecordUnreadable as error:
        return _placeholder(row, unreadable(error))


def unreadable(error: RecordUnreadable) -> Refusal:
    """Return what is said of a recommendation whose row cannot be read."""
    return Refusal(code=RefusalCode.INTERNAL, message=f"{error}.")


def to_recommendation(row: Row[Any]) -> Recommendation:
    """Return the recommendation of a whole row. Raises RecordUnreadable."""
    request, device = _parse(row.request), _parse(row.device)
    advice = _parse(row.advice) if row.advice else None
    refusal = _parse(row.refusal) if row.refusal else None
    answer = advice or refusal or request
    return Recommendation(
        recommendation_id=row.recommendation_id,
        request_id=row.request_key.partition(" ")[2],
        request=_read(request, AdviceRequest),
        device=_read(device, Device),
        fingerprint=row.fingerprint,
        state=State.of(row.state),
        created_at_s=row.created_at_s,
        updated_at_s=row.updated_at_s,
        cancel_requested=row.cancel_requested,
        advice=None if advice is None else _read(advice, Advice),
        refusal=None if refusal is None else _read(refusal, Refusal),
        principal=row.principal,
        planner_version=answer.get(WRITER_VERSION, FIRST_RELEASE),
    )


def event_values(recommendation_id: str, event: Event) -> dict[str, Any]:
    """Return the columns of an event."""
    return {
        "recommendation_id": recommendation_id,
        "sequence": event.sequence,
        "at_s": event.at_s,
        "kind": kind_of(type(event.happening)),
        "body": _to_json(union_to_plain(event.happening)),
    }


def to_event(row: Row[Any]) -> Event:
    """Return the event of a row; one that cannot be read is Unknown, by its kind."""
    try:
        happening = _parse(row.body)
        # A union is a dictionary with one key, the member's name.
        happening.pop(WRITER_VERSION, None)
        read = _read(happening, cast(type[Happening], Happening))
    except RecordUnreadable:
        read = Unknown(kind=row.kind)
    return Event(sequence=row.sequence, at_s=row.at_s, happening=read)


def kind_of(happening_class: type[Happening]) -> str:
    """Return what the column ``kind`` says of a class of happenings."""
    return snake_case(happening_class.__name__)


def to_measurement(body: str) -> Measurement | None:
    """Return the measurement in the body of an event's row. Raises RecordUnreadable."""
    measured = _parse(body).get(kind_of(Measured), {})
    if not isinstance(measured, dict):
        raise _not_understood(f"{measured!r:.100} is not a measurement")
    data = measured.get("measurement")
    return None if data is None else _read(data, Measurement)


def _to_json(data: Mapping[str, Any]) -> str:
    # Escapes all but ASCII: a user's output may hold what no encoding of text can.
    return json.dumps({WRITER_VERSION: __version__, **data}, separators=(",", ":"))


def _parse(text: str) -> dict[str, Any]:
    try:
        return upcast(json.loads(text))
    except _MISREADINGS as error:
        raise _not_understood(error) from error


def _read(data: Mapping[str, Any], cls: type[T]) -> T:
    try:
        return from_row(data, cls)
    except _MISREADINGS as error:
        raise _not_understood(error) from error


def _not_understood(why: object) -> RecordUnreadable:
    return RecordUnreadable(
        f"what the database holds of this cannot be read by release {__version__}: {why!s:.300}; "
        "delete it, or run the release that wrote it"
    )


def _placeholder(row: Row[Any], refusal: Refusal) -> Recommendation:
    """Return what the columns beside the values say: enough to list, cancel and delete it."""
    state = State.of(row.state)
    return Recommendation(
        recommendation_id=row.recommendation_id,
        request_id=row.request_key.partition(" ")[2],
        request=AdviceRequest(
            source=Source(digest=row.source_digest, entry_path="unknown"),
            device="unknown",
            budget_s=row.budget_s,
        ),
        device=Device(
            device_id="unknown",
            name="unknown",
            kind=DeviceKind.unknown("unreadable"),
            present=False,
            total_bytes=0,
        ),
        fingerprint=row.fingerprint,
        # There is no advice to show.
        state=State.FAILED if state is State.SUCCEEDED else state,
        created_at_s=row.created_at_s,
        updated_at_s=row.updated_at_s,
        cancel_requested=row.cancel_requested,
        refusal=refusal,
        principal=row.principal,
    )
