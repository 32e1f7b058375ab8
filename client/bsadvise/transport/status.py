"""The one place where a gRPC status becomes an error of ours.

The daemon's ``ErrorInfo`` reason decides where there is one, the status code otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from bsadvise.model.errors import (
    AccessDenied,
    BsadviseError,
    Cancelled,
    DaemonError,
    DaemonUnreachable,
    DeviceUnavailable,
    FieldViolation,
    Interrupted,
    InvalidRequest,
    ModelFileError,
    NoFitError,
    NotAuthenticated,
    NotFound,
    QuotaExceeded,
    RequestIdReused,
    SourceUnusable,
    StillRunning,
    TimedOut,
    UnexpectedReply,
)
from bsadvise.model.measurements import Fault, FaultCode

ERROR_DOMAIN = "bsadvise"
_DETAILS_KEY = "grpc-status-details-bin"

_BY_REASON: dict[str, Callable[[str], BsadviseError]] = {
    "NO_FIT": NoFitError,
    "TIMED_OUT": TimedOut,
    "DEVICE": DeviceUnavailable,
    "INTERRUPTED": Interrupted,
    "REQUEST_ID_REUSED": RequestIdReused,
    "SOURCE_REJECTED": SourceUnusable,
    "QUOTA_EXCEEDED": QuotaExceeded,
    "UPLOAD_STALLED": TimedOut,
}

_BY_CODE: dict[grpc.StatusCode, Callable[[str], BsadviseError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: RequestIdReused,
    grpc.StatusCode.FAILED_PRECONDITION: StillRunning,
    grpc.StatusCode.UNAVAILABLE: DaemonUnreachable,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
    grpc.StatusCode.UNAUTHENTICATED: NotAuthenticated,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
    grpc.StatusCode.UNIMPLEMENTED: UnexpectedReply,
}


def error_of_rpc(error: grpc.RpcError, address: str) -> BsadviseError:
    """Return what a failed call means.

    Args:
        error: What grpc or grpc.aio raised; both have the parts of a status.
        address: Whom the call went to, for the message.
    """
    status: grpc.Call = error  # type: ignore[assignment]  # grpc raises its calls as errors
    code, text = status.code(), status.details() or ""
    info, violations = _read_details(status)
    if info.reason == "MODEL_FILE":
        return ModelFileError(text, _read_fault(text, info.metadata))
    if violations:
        listed = "; ".join(f"{v.field}: {v.description}" for v in violations)
        return InvalidRequest(listed, violations)
    if info.reason in _BY_REASON:
        return _BY_REASON[info.reason](text)
    if code is grpc.StatusCode.UNAVAILABLE and not info.reason:
        return DaemonUnreachable(f"no daemon answers at {address}: {text}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimedOut(f"the daemon at {address} did not answer in time")
    return _BY_CODE.get(code, DaemonError)(text or code.name)


def _read_details(
    status: grpc.Call,
) -> tuple[error_details_pb2.ErrorInfo, tuple[FieldViolation, ...]]:
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for key, value in status.trailing_metadata() or ():
        if key != _DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            details = status_pb2.Status.FromString(value).details
        except DecodeError:
            continue  # a proxy's own trailer; the status code still tells
        for detail in details:
            _ = detail.Unpack(info) or detail.Unpack(request)
    violations = tuple(FieldViolation(v.field, v.description) for v in request.field_violations)
    return (info if info.domain == ERROR_DOMAIN else error_details_pb2.ErrorInfo()), violations


def _read_fault(message: str, metadata: Mapping[str, str]) -> Fault:
    code = metadata.get("code", "").lower()
    line = metadata.get("line", "")
    return Fault(
        code=FaultCode(code) if code in list(FaultCode) else FaultCode.MODEL_FILE,
        message=metadata.get("message", message),
        hook=metadata.get("hook"),
        file=metadata.get("file"),
        line=int(line) if line.isdigit() else None,
        fix=metadata.get("fix"),
        traceback=metadata.get("traceback"),
        output=metadata.get("output"),
    )
