"""Domain values to and from rows.

Each value is one column of JSON text, which carries the release that wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.device import Device
from bsadvise.model.measurements import Measurement
from bsadvise.model.recommendation import (
    Event,
    Happening,
    Measured,
    Recommendation,
    State,
    StateChanged,
)
from bsadvise.model.request import AdviceRequest, Priority
from bsadvise.model.values import snake_case
from bsadvise.version import __version__
from bsadvise.wire.plain import to_plain, union_to_plain
from sqlalchemy import Row

from advisor.domain.errors import StoreUnavailable
from advisor.serialization import from_row
from advisor.store.upcasts import FIRST_RELEASE, WRITER_VERSION, upcast

T = TypeVar("T")

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


def to_recommendation(row: Row[Any]) -> Recommendation:
    """Return the recommendation of a whole row. Raises StoreUnavailable."""
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
    """Return the event of a row. Raises StoreUnavailable."""
    happening = _parse(row.body)
    # A union is a dictionary with one key, the member's name.
    happening.pop(WRITER_VERSION, None)
    return Event(
        sequence=row.sequence,
        at_s=row.at_s,
        happening=_read(happening, cast(type[Happening], Happening)),
    )


def kind_of(happening_class: type[Happening]) -> str:
    """Return what the column ``kind`` says of a class of happenings."""
    return snake_case(happening_class.__name__)


def to_measurement(body: str) -> Measurement | None:
    """Return the measurement in the body of an event's row. Raises StoreUnavailable."""
    data = _parse(body).get(kind_of(Measured), {}).get("measurement")
    return None if data is None else _read(data, Measurement)


def _to_json(data: Mapping[str, Any]) -> str:
    # Escapes all but ASCII: a user's output may hold what no encoding of text can.
    return json.dumps({WRITER_VERSION: __version__, **data}, separators=(",", ":"))


def _parse(text: str) -> dict[str, Any]:
    try:
        return upcast(json.loads(text))
    except ValueError as error:
        raise _not_understood(error) from error


def _read(data: Mapping[str, Any], cls: type[T]) -> T:
    try:
        return from_row(data, cls)
    except ValueError as error:
        raise _not_understood(error) from error


def _not_understood(error: ValueError) -> StoreUnavailable:
    return StoreUnavailable(
        f"the database holds a row that cannot be understood: {error}; restore a backup, "
        "or use another state directory"
    )
