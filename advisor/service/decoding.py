"""Reads the bytes of requests where errors are translated.

gRPC itself answers bytes that are no message with INTERNAL and a traceback in the log; they are
the caller's mistake.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError, Message

from advisor.domain.errors import FieldViolation, InvalidRequest
from advisor.domain.limits import most_bytes
from advisor.messages import violations
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
        return _taking_bytes(handler, _request_name(handler_call_details.method))


def _request_name(method: str) -> str:
    """Return the name of the message that a method takes, such as ``CheckSourceRequest``."""
    full_name = method.removeprefix("/").replace("/", ".")
    found = descriptor_pool.Default().FindMethodByName(full_name)
    return str(found.input_type.name)


def _taking_bytes(handler: Any, name: str) -> Handler:  # noqa: ANN401 - one of three kinds
    deserialize = handler.request_deserializer

    def decode(body: bytes) -> Message:
        return _decode(body, name, deserialize)

    body = handler.unary_unary or handler.unary_stream or handler.stream_unary
    read = partial(_decode_each, decode) if handler.request_streaming else decode
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]

    async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401 - of any method
        return await body(read(request), context)

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        async for response in body(read(request), context):
            yield response

    return make(
        stream if inspect.isasyncgenfunction(body) else answer,
        request_deserializer=None,
        response_serializer=handler.response_serializer,
    )


def _decode(body: bytes, name: str, deserialize: _Decode) -> Message:
    """Return a request within its limits. Raises InvalidRequest."""
    most = most_bytes(name)
    if len(body) > most:
        raise InvalidRequest(
            FieldViolation("request", f"is of {len(body)} bytes; a {name} may have {most}")
        )
    try:
        message: Message = deserialize(body)
    except DecodeError as error:
        raise InvalidRequest(FieldViolation("request", "the bytes are not a request's")) from error
    # What is in a request for advice is looked at with what else may be wrong with it.
    found = [
        FieldViolation(path, complaint)
        for path, complaint in violations(message)
        if not path.startswith("request.")
    ]
    if found:
        raise InvalidRequest(*found)
    return message


async def _decode_each(decode: _Decode, bodies: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for body in bodies:
        yield decode(body)
