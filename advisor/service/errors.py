"""How an error is reported to a caller: one table, and the translator around every RPC."""

from __future__ import annotations

import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any

import grpc
import structlog
from bsadvise.model.advice import Refusal, RefusalCode
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from advisor.domain.errors import (
    AdvisorError,
    Draining,
    IllegalTransition,
    InvalidRequest,
    LeaseLost,
    NoAnswer,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RecordUnreadable,
    RequestIdReused,
    RequestStalled,
    SourceRejected,
    StoreFull,
    StoreUnavailable,
    Unauthenticated,
    UploadStalled,
)
from advisor.service.interception import Handler, wrap

ERROR_DOMAIN = "bsadvise"

_LOG = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PublicError:
    """What is sent to a caller.

    Attributes:
        code: A canonical code, ``google.rpc.code_pb2``.
        reason: ``ErrorInfo.reason``, for a program.
        sentence: For a person; None where the error's own words were written for callers.
    """

    code: int
    reason: str
    sentence: str | None = None


CATALOGUE: dict[type[AdvisorError], PublicError] = {
    InvalidRequest: PublicError(code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST"),
    NotFound: PublicError(code_pb2.NOT_FOUND, "NOT_FOUND"),
    RequestIdReused: PublicError(
        code_pb2.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
        "The request id was used for another request; choose a new one.",
    ),
    Unauthenticated: PublicError(code_pb2.UNAUTHENTICATED, "UNAUTHENTICATED"),
    PermissionDenied: PublicError(code_pb2.PERMISSION_DENIED, "PERMISSION_DENIED"),
    QuotaExceeded: PublicError(code_pb2.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"),
    RequestStalled: PublicError(code_pb2.DEADLINE_EXCEEDED, "REQUEST_STALLED"),
    UploadStalled: PublicError(code_pb2.DEADLINE_EXCEEDED, "UPLOAD_STALLED"),
    SourceRejected: PublicError(code_pb2.INVALID_ARGUMENT, "SOURCE_REJECTED"),
    IllegalTransition: PublicError(
        code_pb2.FAILED_PRECONDITION,
        "ILLEGAL_TRANSITION",
        "The recommendation's state does not allow this; cancel it, or wait until it has ended.",
    ),
    LeaseLost: PublicError(
        code_pb2.ABORTED, "LEASE_LOST", "Another daemon has taken the work over; ask again."
    ),
    NoAnswer: PublicError(code_pb2.FAILED_PRECONDITION, "NO_ANSWER"),
    Draining: PublicError(
        code_pb2.UNAVAILABLE, "DRAINING", "The daemon is stopping; ask again when it is back."
    ),
    RecordUnreadable: PublicError(
        code_pb2.DATA_LOSS,
        "RECORD_UNREADABLE",
        "What is stored of this recommendation cannot be read by this release of the daemon; its "
        "log says why. Delete it, or ask a daemon of the release that wrote it.",
    ),
    StoreUnavailable: PublicError(
        code_pb2.UNAVAILABLE,
        "STORE_UNAVAILABLE",
        "The daemon cannot read or write its database; its log says why.",
    ),
    StoreFull: PublicError(
        code_pb2.RESOURCE_EXHAUSTED,
        "STORE_FULL",
        "The daemon's disk is full; ask again when there is room. What is there can be read.",
    ),
}

_TEXT_CHARACTERS = (1000, 500, 250, 125, 60, 30, 0)
"""Of each text of an error, the first with which it fits."""

_MOST_HEADER_BYTES = 7000
"""gRPC's trailers may hold some eight thousand bytes, in which an error stands twice."""

_MOST_VIOLATIONS = 20
"""Wrong fields that are named at once: nobody reads more."""

_LOG_CHARACTERS = 300
"""Of an error in the log: who asks must not fill it."""

_UNEXPECTED = PublicError(
    code_pb2.INTERNAL, "INTERNAL", "The daemon failed at this; its log says how."
)


def to_status(error: Exception) -> status_pb2.Status:
    """Return what is sent to a caller for an error: code, sentence, and details for a program.

    Its texts are as long as fit into the trailers of a call: what a caller sent may be in them.
    """
    statuses = (_status(error, most) for most in _TEXT_CHARACTERS)
    return next(status for status in statuses if _header_bytes(status) <= _MOST_HEADER_BYTES)


def _header_bytes(status: status_pb2.Status) -> int:
    """Return the bytes of a status in a call's trailers: in base 64, and its words in per cents."""
    size_bytes: int = status.ByteSize()
    return 4 * size_bytes // 3 + len(urllib.parse.quote(status.message))


def _status(error: Exception, most: int) -> status_pb2.Status:
    public = CATALOGUE[type(error)] if isinstance(error, AdvisorError) else _UNEXPECTED
    info = error_details_pb2.ErrorInfo(reason=public.reason, domain=ERROR_DOMAIN)
    details: list[Message] = [info]
    code, sentence = public.code, public.sentence or str(error)
    if isinstance(error, NoAnswer):
        code, sentence = _describe_refusal(error.refusal, info, most)
    details += _further_details(error, info, most)
    packed = [_pack(detail) for detail in details]
    return status_pb2.Status(code=code, message=_sendable(sentence)[:most], details=packed)


def _sendable(text: str) -> str:
    """Return a text in characters that UTF-8 can carry."""
    return text.encode(errors="backslashreplace").decode()


def _further_details(
    error: Exception, info: error_details_pb2.ErrorInfo, most: int
) -> Iterator[Message]:
    match error:
        case InvalidRequest():
            yield error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=_sendable(violation.field)[:most],
                        description=_sendable(violation.description)[:most],
                    )
                    for violation in error.violations[:_MOST_VIOLATIONS]
                ]
            )
        case RequestIdReused():
            info.metadata["request_id"] = _sendable(error.request_id)[:most]
            yield error_details_pb2.ResourceInfo(
                resource_type="bsadvise.v1.Recommendation", resource_name=error.recommendation_id
            )
        case QuotaExceeded():
            info.metadata["quota"] = error.quota
            info.metadata["limit"] = f"{error.limit:g}"
            violation = error_details_pb2.QuotaFailure.Violation(
                subject=error.principal, description=str(error)
            )
            yield error_details_pb2.QuotaFailure(violations=[violation])


def _describe_refusal(
    refusal: Refusal, info: error_details_pb2.ErrorInfo, most: int
) -> tuple[int, str]:
    info.reason = refusal.code.name
    if refusal.code is RefusalCode.INTERNAL:
        return code_pb2.INTERNAL, refusal.message
    if refusal.fault is None:
        return code_pb2.FAILED_PRECONDITION, refusal.message
    fault = refusal.fault
    for field in fields(fault):
        value = getattr(fault, field.name)
        if value is not None:
            info.metadata[field.name] = _end_of(_sendable(str(value)), most)
    return code_pb2.FAILED_PRECONDITION, str(fault)


def _end_of(text: str, most: int) -> str:
    return text[max(0, len(text) - most) :]


def _pack(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


def _log_line(error: Exception) -> str:
    """Return an error's words as one line, cut: a caller's own words may be among them."""
    shown = str(error)[:_LOG_CHARACTERS]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


class ErrorTranslator(grpc.aio.ServerInterceptor):
    """Wraps every RPC: the detail is logged, the safe sentence is sent."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the handler of an RPC, wrapped."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        return wrap(handler, lambda context: _translated(context, method))


@asynccontextmanager
async def _translated(context: Any, method: str) -> AsyncIterator[None]:  # noqa: ANN401
    try:
        yield
    except grpc.aio.AbortError:  # Of gRPC's own services: what is to be told is told.
        raise
    except Exception as error:
        status = to_status(error)
        log = _LOG.bind(method=method, code=code_pb2.Code.Name(status.code))
        if status.code == code_pb2.INTERNAL:
            log.exception("rpc failed")
        else:
            log.info("rpc refused", error=_log_line(error))
        await context.abort_with_status(rpc_status.to_status(status))
