"""What callers of the advisor can do wrong, and what can go wrong for them.

AdvisorError
├── InvalidRequest       a field is wrong; every wrong field at once
├── NotFound             no such recommendation, source or device
├── RequestIdReused      the same request id with other content
├── Unauthenticated      the caller is not known
├── PermissionDenied     the caller is known, and may not do this
├── QuotaExceeded        the caller has had their share of this daemon
├── RequestStalled       a request of which no more came
├── UploadStalled        an upload that came to a standstill
├── SourceRejected       an upload that is too large, damaged or unsafe
├── IllegalTransition    a change of state that cannot be; a defect, or a lost race
├── LeaseLost            another daemon has taken the work over
├── NoAnswer             a question asked at once has no answer, and why
├── Draining             the daemon is stopping; another, or the next one, will answer
├── RecordUnreadable     what is stored of one thing cannot be read; the rest can
└── StoreUnavailable     the database cannot be read or written
    └── StoreFull        the disk below it has no room
"""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.advice import Refusal


class AdvisorError(Exception):
    """Root of all errors that the advisor raises on purpose."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field: its name in the request, and what is wrong with it."""

    field: str
    description: str


class InvalidRequest(AdvisorError):
    """A request cannot be carried out as it is; ``violations`` names every wrong field."""

    def __init__(self, *violations: FieldViolation) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = violations


class NotFound(AdvisorError):
    """There is no such thing, or the caller may not know of it."""


class RequestIdReused(AdvisorError):
    """A request id has come back with other content."""

    def __init__(self, request_id: str, recommendation_id: str) -> None:
        super().__init__(f"request id {request_id} was used before, for another request")
        self.request_id = request_id
        self.recommendation_id = recommendation_id


class Unauthenticated(AdvisorError):
    """Nobody is known by what the caller has shown."""


class PermissionDenied(AdvisorError):
    """The caller may not do this."""


class QuotaExceeded(AdvisorError):
    """A principal has had their share of the daemon.

    Attributes:
        principal: Who.
        quota: Name of the quota, as in the daemon's settings.
        limit: What they may have.
    """

    def __init__(self, principal: str, quota: str, limit: float, message: str) -> None:
        super().__init__(message)
        self.principal = principal
        self.quota = quota
        self.limit = limit


class RequestStalled(AdvisorError):
    """Nothing more came of a request for too long."""


class UploadStalled(AdvisorError):
    """Nothing more came of an upload for too long."""


class SourceRejected(AdvisorError):
    """An uploaded bundle is too large, damaged, or names a path outside itself."""


class IllegalTransition(AdvisorError):
    """A recommendation cannot move between these two states."""


class LeaseLost(AdvisorError):
    """Another daemon has taken over the recommendation that this one was working on."""


class NoAnswer(AdvisorError):
    """There is no answer to a question that was asked at once; ``refusal`` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Draining(AdvisorError):
    """The daemon is stopping."""


class RecordUnreadable(AdvisorError):
    """What is stored of one recommendation cannot be read; the message says what and why."""


class StoreUnavailable(AdvisorError):
    """The database cannot be read or written."""


class StoreFull(StoreUnavailable):
    """There is no room on the disk that holds the database or the state directory."""
