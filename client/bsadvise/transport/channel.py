"""How channels to a daemon are set up, the same for both clients."""

from __future__ import annotations

import grpc

from bsadvise.transport.credentials import Target

_MAX_REPLY_BYTES = 64 << 20  # a long log of measurements; grpc's own limit is 4 MiB


_CONNECT_LIMIT_MS = 10_000
"""For one attempt to connect: over a slow line TLS alone takes seconds."""

_KEEPALIVE_TIME_MS = 20_000
_KEEPALIVE_TIMEOUT_MS = 20_000
"""A network that falls silent breaks no connection: a watch would wait for ever. gRPC itself sends
the pings of a connection without data a minute apart, so that it is noticed within 80 s."""


def channel_options(address: str) -> list[tuple[str, int]]:
    """Return channel options: a daemon that comes back is noticed soon, long logs are read.

    Over a network, so is one that is lost without a word; a unix socket closes with its daemon.
    """
    keepalive = [
        ("grpc.keepalive_time_ms", _KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        # A watch sends nothing for long; gRPC else allows two pings without data.
        ("grpc.http2.max_pings_without_data", 0),
    ]
    return [
        *(() if address.startswith("unix:") else keepalive),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_LIMIT_MS),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.max_receive_message_length", _MAX_REPLY_BYTES),
        # Channels in one process would else share a connection, and its backing off.
        ("grpc.use_local_subchannel_pool", 1),
        # A daemon closes idle connections after a minute, of which gRPC would write to stderr.
        ("grpc.client_idle_timeout_ms", 30_000),
    ]


def open_channel(target: Target) -> grpc.Channel:
    """Return a channel that blocks."""
    if target.tls is None:
        return grpc.insecure_channel(target.address, options=channel_options(target.address))
    return grpc.secure_channel(target.address, target.tls, options=channel_options(target.address))


def open_aio_channel(target: Target) -> grpc.aio.Channel:
    """Return a channel for asyncio."""
    if target.tls is None:
        return grpc.aio.insecure_channel(target.address, options=channel_options(target.address))
    return grpc.aio.secure_channel(
        target.address, target.tls, options=channel_options(target.address)
    )
