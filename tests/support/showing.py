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
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, authorization: str) -> None:
        self._metadata = ("authorization", authorization)

    def _shown(self, details: Any) -> Any:
        return details._replace(metadata=[*(details.metadata or ()), self._metadata])

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._shown(details), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._shown(details), request)

    def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(self._shown(details), requests)

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(self._shown(details), requests)


class _Show:
    def __init__(self, authorization: str) -> None:
        self._metadata = grpc.aio.Metadata(("authorization", authorization))

    def _shown(self, details: Any) -> Any:
        return details._replace(metadata=self._metadata)


class _ShowUnary(_Show, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self._shown(details), request)


class _ShowStream(_Show, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self._shown(details), request)


class _ShowUpload(_Show, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(self._shown(details), requests)


class _ShowAny(_Show, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(self._shown(details), requests)
