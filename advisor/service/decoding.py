"""Reads the bytes of requests where errors are translated, and only of callers who may call.

gRPC itself reads a unary request before its method is called, whoever sends it and however
long that takes, and answers bytes that are no message with INTERNAL and a traceback in the log;
they are the caller's mistake. On the wire a unary request is a stream of one message.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError, Message

from advisor.domain.errors import FieldViolation, InvalidRequest, RequestStalled
from advisor.domain.limits import most_bytes
from advisor.messages import violations
from advisor.service.context import Context
from advisor.service.interception import Handler

_Decode = Callable[[bytes], Any]


class Decoder(grpc.aio.ServerInterceptor):
    """Hands methods their messages; the innermost interceptor.

    Every handler that it returns takes a stream, so that a call is authenticated, and refused,
    while its request is still unread.
    """

    def __init__(self, limit_s: float) -> None:
        """Make a decoder.

        Args:
            limit_s: Seconds within which each message of a request must have come.
        """
        self._limit_s = limit_s

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the handler of a method, which now takes bytes."""
        handler = await continuation(handler_call_details)
        if handler is None or (handler.request_streaming and handler.response_streaming):
            return handler  # Of the second kind there is reflection alone.
        return _taking_bytes(handler, handler_call_details.method, self._limit_s)


def _request_name(method: str) -> str:
    """Return the name of the message that a method takes, such as ``CheckSourceRequest``."""
    full_name = method.removeprefix("/").replace("/", ".")
    found = descriptor_pool.Default().FindMethodByName(full_name)
    return str(found.input_type.name)


def _taking_bytes(handler: Any, method: str, limit_s: float) -> Handler:  # noqa: ANN401 - one of three kinds
    deserialize = handler.request_deserializer
    name = _request_name(method) if method.startswith("/bsadvise.") else None
    body = handler.unary_unary or handler.unary_stream or handler.stream_unary
    make = (
        grpc.stream_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.stream_unary_rpc_method_handler
    )

    def decode(body: bytes) -> Message:
        return _decode(body, name, deserialize)

    async def requested(bodies: AsyncIterator[bytes]) -> Any:  # noqa: ANN401 - a message, or many
        messages = _read_each(decode, bodies, limit_s)
        if handler.request_streaming:
            return messages
        async for message in messages:
            return message
        raise InvalidRequest(FieldViolation("request", "there is none"))

    async def answer(bodies: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401
        return await body(await requested(bodies), context)

    async def stream(bodies: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        async for response in body(await requested(bodies), context):
            yield response

    return make(
        stream if inspect.isasyncgenfunction(body) else answer,
        request_deserializer=None,
        response_serializer=handler.response_serializer,
    )


async def _read_each(
    decode: _Decode, bodies: AsyncIterator[bytes], limit_s: float
) -> AsyncIterator[Any]:
    while True:
        try:
            async with asyncio.timeout(limit_s):
                body = await anext(bodies, None)
        except TimeoutError as error:
            raise RequestStalled(
                f"nothing more of the request came for {limit_s:g} s; send it again"
            ) from error
        if body is None:
            return
        yield decode(body)


def _decode(body: bytes, name: str | None, deserialize: _Decode) -> Message:
    """Return a request within its limits. Raises InvalidRequest.

    Args:
        body: Its bytes.
        name: The name of a message of ours, which has limits; None for another's.
        deserialize: Reads them.
    """
    most = most_bytes(name) if name else None
    if most is not None and len(body) > most:
        raise InvalidRequest(
            FieldViolation("request", f"is of {len(body)} bytes; a {name} may have {most}")
        )
    try:
        message: Message = deserialize(body)
    except DecodeError as error:
        raise InvalidRequest(FieldViolation("request", "the bytes are not a request's")) from error
    if name is None:
        return message
    # What is in a request for advice is looked at with what else may be wrong with it.
    found = [
        FieldViolation(path, complaint)
        for path, complaint in violations(message)
        if not path.startswith("request.")
    ]
    if found:
        raise InvalidRequest(*found)
    return message
