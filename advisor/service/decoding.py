"""Reads the bytes of requests where errors are translated.

gRPC itself answers bytes that are no message with INTERNAL and a traceback in the log; they are
the caller's mistake.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from advisor.domain.errors import FieldViolation, InvalidRequest
from advisor.service.context import Context
from advisor.service.interception import Handler

_Decode = Callable[[bytes], Any]


class Decoder(grpc.aio.ServerInterceptor):
    """Hands methods their messages; the innermost interceptor."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the handler of a method, which now takes bytes."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith("/bsadvise."):
            return handler
        return _taking_bytes(handler)


def _taking_bytes(handler: Any) -> Handler:  # noqa: ANN401 - one of three kinds
    decode = handler.request_deserializer
    body = handler.unary_unary or handler.unary_stream or handler.stream_unary
    read = _read_each if handler.request_streaming else _read
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]

    async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401 - of any method
        return await body(read(decode, request), context)

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        async for response in body(read(decode, request), context):
            yield response

    return make(
        stream if inspect.isasyncgenfunction(body) else answer,
        request_deserializer=None,
        response_serializer=handler.response_serializer,
    )


def _read(decode: _Decode, body: bytes) -> Any:  # noqa: ANN401 - any message
    try:
        return decode(body)
    except DecodeError as error:
        raise InvalidRequest(FieldViolation("request", "the bytes are not a request's")) from error


async def _read_each(decode: _Decode, bodies: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for body in bodies:
        yield _read(decode, body)
