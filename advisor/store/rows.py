"""Domain values to and from rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.device import Device
from bsadvise.model.recommendation import Event, Happening, Recommendation, State, StateChanged
from bsadvise.model.request import AdviceRequest, Priority
from sqlalchemy import Row

from advisor.domain.errors import StoreUnavailable
from advisor.serialization import from_dict, snake_case, to_dict, union_to_dict

T = TypeVar("T")

PRIORITY_RANKS = {Priority.LOW: 0, Priority.NORMAL: 1, Priority.HIGH: 2}


def recommendation_values(recommendation: Recommendation, host: str) -> dict[str, Any]:
    """Return the columns of a recommendation that is new, for a device of a host."""
    return {
        "host": host,
        "source_digest": recommendation.request.source.digest,
        "recommendation_id": recommendation.recommendation_id,
        "request_key": request_key(recommendation),
        "request": _to_json(to_dict(recommendation.request)),
        "device": _to_json(to_dict(recommendation.device)),
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
        "advice": _to_json(to_dict(change.advice)) if change.advice else None,
        "refusal": _to_json(to_dict(change.refusal)) if change.refusal else None,
        "refusal_code": change.refusal.code.value if change.refusal else None,
    }


def to_recommendation(row: Row[Any]) -> Recommendation:
    """Return the recommendation of a whole row. Raises StoreUnavailable."""
    return Recommendation(
        recommendation_id=row.recommendation_id,
        request_id=row.request_key.partition(" ")[2],
        request=_from_json(row.request, AdviceRequest),
        device=_from_json(row.device, Device),
        fingerprint=row.fingerprint,
        state=State(row.state),
        created_at_s=row.created_at_s,
        updated_at_s=row.updated_at_s,
        cancel_requested=row.cancel_requested,
        advice=_from_json(row.advice, Advice) if row.advice else None,
        refusal=_from_json(row.refusal, Refusal) if row.refusal else None,
        principal=row.principal,
    )


def event_values(recommendation_id: str, event: Event) -> dict[str, Any]:
    """Return the columns of an event."""
    return {
        "recommendation_id": recommendation_id,
        "sequence": event.sequence,
        "at_s": event.at_s,
        "kind": kind_of(type(event.happening)),
        "body": _to_json(union_to_dict(event.happening)),
    }


def to_event(row: Row[Any]) -> Event:
    """Return the event of a row. Raises StoreUnavailable."""
    return Event(
        sequence=row.sequence,
        at_s=row.at_s,
        happening=_from_json(row.body, cast(type[Happening], Happening)),
    )


def kind_of(happening_class: type[Happening]) -> str:
    """Return what the column ``kind`` says of a class of happenings."""
    return snake_case(happening_class.__name__)


def _to_json(data: Mapping[str, Any]) -> str:
    # Escapes all but ASCII: a user's output may hold what no encoding of text can.
    return json.dumps(data, separators=(",", ":"))


def _from_json(text: str, cls: type[T]) -> T:
    try:
        return from_dict(json.loads(text), cls)
    except ValueError as error:
        raise StoreUnavailable(
            f"the database holds a row that cannot be understood: {error}; restore a backup, "
            "or use another state directory"
        ) from error
