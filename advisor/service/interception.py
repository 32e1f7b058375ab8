"""Puts something around the body of any method."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import grpc

from advisor.service.context import Context

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

Around: TypeAlias = Callable[[Context], AbstractAsyncContextManager[None]]
"""Makes what a method's body is run inside of, anew for each call."""


def wrap(handler: Any, around: Around) -> Handler:  # noqa: ANN401 - one of four kinds
    """Return a handler whose body runs inside of ``around``."""
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    body = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )

    async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401 - of any method
        async with around(context):
            return await body(request, context)

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        async with around(context):
            async for response in body(request, context):
                yield response

    return make(
        stream if inspect.isasyncgenfunction(body) else answer,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
