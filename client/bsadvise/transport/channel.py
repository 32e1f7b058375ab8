"""How channels to a daemon are set up, the same for both clients."""

from __future__ import annotations

import grpc

from bsadvise.transport.credentials import Target

_MAX_REPLY_BYTES = 64 << 20  # a long log of measurements; grpc's own limit is 4 MiB


def channel_options() -> list[tuple[str, int]]:
    """Return channel options: a daemon that comes back is noticed soon, long logs are read."""
    return [
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
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
        return grpc.insecure_channel(target.address, options=channel_options())
    return grpc.secure_channel(target.address, target.tls, options=channel_options())


def open_aio_channel(target: Target) -> grpc.aio.Channel:
    """Return a channel for asyncio."""
    if target.tls is None:
        return grpc.aio.insecure_channel(target.address, options=channel_options())
    return grpc.aio.secure_channel(target.address, target.tls, options=channel_options())
