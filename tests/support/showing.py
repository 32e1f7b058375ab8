"""Channels that show an authorization in each call."""

from __future__ import annotations

from typing import Any

import grpc
from bsadvise.transport.credentials import socket_metadata


def showing(authorization: str) -> list[Any]:
    """Return what lets each call of an asyncio channel show an authorization."""
    return [kind(authorization) for kind in (_ShowUnary, _ShowStream, _ShowUpload, _ShowAny)]


def secret_of(address: str) -> str:
    """Return what a caller shows to the daemon of a unix socket."""
    ((_, authorization),) = socket_metadata(address)
    return authorization


def owner_channel(address: str) -> grpc.Channel:
    """Return a channel through a daemon's unix socket, as its own user opens it."""
    return grpc.intercept_channel(grpc.insecure_channel(address), _ShowBlocking(secret_of(address)))


class _ShowBlocking(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg] # the stubs' parameters are theirs
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]
):
    def __init__(self, authorization: str) -> None:
        self._shown = ("authorization", authorization)

    def _intercept(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(
            details._replace(metadata=[*(details.metadata or ()), self._shown]), request
        )

    intercept_unary_unary = _intercept
    intercept_unary_stream = _intercept
    intercept_stream_unary = _intercept
    intercept_stream_stream = _intercept


class _Show:
    def __init__(self, authorization: str) -> None:
        self._metadata = grpc.aio.Metadata(("authorization", authorization))

    async def _intercept(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details._replace(metadata=self._metadata), request)


class _ShowUnary(_Show, grpc.aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary = _Show._intercept


class _ShowStream(_Show, grpc.aio.UnaryStreamClientInterceptor):
    intercept_unary_stream = _Show._intercept


class _ShowUpload(_Show, grpc.aio.StreamUnaryClientInterceptor):
    intercept_stream_unary = _Show._intercept


class _ShowAny(_Show, grpc.aio.StreamStreamClientInterceptor):
    intercept_stream_stream = _Show._intercept
