"""Gives each call an id, which every log line about it carries; counts it, and traces it."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import structlog

from advisor.service.context import Context
from advisor.service.interception import Handler, wrap
from advisor.service.metrics import Metrics
from advisor.service.tracing import CARRIER_KEYS, Carrier

REQUEST_ID_KEY = "x-request-id"
"""In a call's metadata, the id by which the client knows it; it comes back with the answer."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

_LOG = structlog.stdlib.get_logger(__name__)

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class CallLog(grpc.aio.ServerInterceptor):
    """Logs and counts each call. The outermost interceptor, so that it sees every end."""

    def __init__(self, metrics: Metrics, monotonic_s: Callable[[], float]) -> None:
        self._metrics = metrics
        self._monotonic_s = monotonic_s

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the handler of a method, its calls noted."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith("/bsadvise."):
            return handler
        return wrap(handler, lambda context: self._noted(context, method))

    @asynccontextmanager
    async def _noted(self, context: Context, method: str) -> AsyncIterator[None]:
        request_id = _request_id(context)
        await context.send_initial_metadata(((REQUEST_ID_KEY, request_id),))
        begun_s = self._monotonic_s()
        code = "CANCELLED"
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id, method=method),
            self._metrics.tracing.span(
                method.removeprefix("/"),
                {"rpc.system": "grpc", "bsadvise.request_id": request_id},
                parent=_carrier(context),
                is_call=True,
            ) as note,
        ):
            try:
                yield
                code = "OK"
            except asyncio.CancelledError:
                raise
            except BaseException:
                code = _code_of(context)
                raise
            finally:
                note("rpc.grpc.status_code", code)
                duration_s = self._monotonic_s() - begun_s
                self._metrics.rpcs.labels(method, code).inc()
                self._metrics.rpc_duration.labels(method).observe(duration_s)
                _LOG.debug("rpc ended", code=code, duration_s=round(duration_s, 6))


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        # Whatever else a client sends must not reach the log.
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex


def _carrier(context: Context) -> Carrier:
    """Return the place in the client's own trace from which it calls."""
    return {
        key: value
        for key, value in context.invocation_metadata() or ()
        if key in CARRIER_KEYS and isinstance(value, str)
    }


def _code_of(context: Context) -> str:
    code = context.code()
    number = code.value[0] if isinstance(code, grpc.StatusCode) else code
    return _CODES.get(number, "UNKNOWN")
