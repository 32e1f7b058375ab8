"""Builds the gRPC server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
from bsadvise.v1 import (
    device_service_pb2,
    device_service_pb2_grpc,
    memory_service_pb2,
    memory_service_pb2_grpc,
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
    source_service_pb2,
    source_service_pb2_grpc,
    token_service_pb2,
    token_service_pb2_grpc,
)
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from advisor.application.application import Application
from advisor.kernel.descriptors import open_file_limit
from advisor.service.access import Guard
from advisor.service.address import AddressRefused, check_tcp
from advisor.service.admission import Admission, AdmissionLimits
from advisor.service.call_log import CallLog
from advisor.service.decoding import Decoder
from advisor.service.device_servicer import DeviceServicer
from advisor.service.errors import ErrorTranslator
from advisor.service.health import HealthReporter
from advisor.service.memory_servicer import MemoryServicer
from advisor.service.metrics import Metrics
from advisor.service.own_socket import OwnSocket
from advisor.service.recommendation_servicer import RecommendationServicer
from advisor.service.source_servicer import SourceServicer
from advisor.service.tls import TlsFiles, check_files, server_credentials
from advisor.service.token_servicer import TokenServicer

SERVICE_NAMES = tuple(
    service.full_name
    for module in (
        device_service_pb2,
        memory_service_pb2,
        recommendation_service_pb2,
        source_service_pb2,
        token_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)

_WITHOUT_STORE = frozenset(
    service.full_name for service in device_service_pb2.DESCRIPTOR.services_by_name.values()
)

_OPTIONS = (
    # An upload's piece is at most 1 MiB; no other request comes near.
    ("grpc.max_receive_message_length", 2 << 20),
    # The log of a long search: thousands of measurements of a few KiB.
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.max_metadata_size", 16 << 10),
    # What of a call is taken in before anybody has asked for it; as a message is read, the rest of
    # it may come. gRPC would let this grow to megabytes a call on a fast network.
    ("grpc.http2.lookahead_bytes", 16 << 10),
    ("grpc.http2.bdp_probe", 0),
    # A second daemon on a port must fail, not take half of the calls.
    ("grpc.so_reuseport", 0),
    # A watcher may wait for long in silence; routers forget connections after some minutes.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Clients ask every 20 s whether it is still there; gRPC takes that for abuse by itself.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenConfig:
    """Where a server is reached, and by whom.

    Attributes:
        socket_path: A unix socket to make, its owner's alone.
        listen: ``host:port``; port 0 takes a free one.
        tls: Certificates for ``listen``; None for plain text, on loopback alone.
        trust_loopback: Whether whoever comes in plain text needs no token.
        reflection: Whether the contract may be asked for.
    """

    socket_path: Path | None = None
    listen: str | None = None
    tls: TlsFiles | None = None
    trust_loopback: bool = False
    reflection: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A server that is bound, and not yet started.

    Attributes:
        server: The server.
        addresses: Where clients reach it.
        health_reporter: What says whether it can do its work.
        own_socket: Its unix socket; None where it has none.
    """

    server: grpc.aio.Server
    addresses: tuple[str, ...]
    health_reporter: HealthReporter
    own_socket: OwnSocket | None = None

    def release(self) -> None:
        """Remove the socket, once the server has stopped."""
        if self.own_socket is not None:
            self.own_socket.remove()


def check_listen_config(listen_config: ListenConfig) -> None:
    """Raise AddressRefused or TlsRefused where it is clear that a server cannot be bound."""
    if listen_config.listen is not None:
        check_tcp(listen_config.listen, has_tls=listen_config.tls is not None)
    if listen_config.tls is not None:
        check_files(listen_config.tls)


async def make_server(
    application: Application,
    listen_config: ListenConfig,
    *,
    metrics: Metrics | None = None,
    limits: AdmissionLimits | None = None,
) -> Bound:
    """Build a server, and bind it without starting it.

    Args:
        application: What it serves.
        listen_config: Where.
        metrics: Where calls are counted; None for nowhere that anyone sees.
        limits: What callers may have open; None for the defaults.

    Raises:
        AddressRefused: It may not, or cannot, listen there.
        TlsRefused: Its certificates cannot be used.
    """
    monotonic_s = application.clock.monotonic_s
    metrics = metrics or Metrics(monotonic_s)
    limits = limits or AdmissionLimits()
    socket_path = listen_config.socket_path
    own_socket = None if socket_path is None else OwnSocket(socket_path)
    guard = Guard(
        application.tokens,
        Admission(limits),
        socket_secret=None if own_socket is None else own_socket.secret,
        revoked=None if listen_config.tls is None else listen_config.tls.revoked,
        trust_loopback=listen_config.trust_loopback,
    )
    interceptors = (
        CallLog(metrics, monotonic_s),
        ErrorTranslator(),
        guard,
        Decoder(limits.request_s),
    )
    options = (*_OPTIONS, *limits.server_options(open_file_limit()))
    server = grpc.aio.server(interceptors=interceptors, options=options)
    recommendation_service_pb2_grpc.add_RecommendationServiceServicer_to_server(
        RecommendationServicer(application.recommendations), server
    )
    source_service_pb2_grpc.add_SourceServiceServicer_to_server(
        SourceServicer(application.sources), server
    )
    memory_service_pb2_grpc.add_MemoryServiceServicer_to_server(
        MemoryServicer(application.estimates), server
    )
    device_service_pb2_grpc.add_DeviceServiceServicer_to_server(
        DeviceServicer(application.inventory), server
    )
    token_service_pb2_grpc.add_TokenServiceServicer_to_server(
        TokenServicer(application.tokens), server
    )
    health_reporter = HealthReporter(
        application, metrics, service_names=SERVICE_NAMES, without_store=_WITHOUT_STORE
    )
    await health_reporter.check_once()
    health_pb2_grpc.add_HealthServicer_to_server(health_reporter.servicer, server)
    if listen_config.reflection:
        reflection.enable_server_reflection((*SERVICE_NAMES, reflection.SERVICE_NAME), server)
    return Bound(
        server=server,
        addresses=tuple(_bind(server, listen_config, own_socket)),
        health_reporter=health_reporter,
        own_socket=own_socket,
    )


def _bind(
    server: grpc.aio.Server, listen_config: ListenConfig, own_socket: OwnSocket | None
) -> Iterator[str]:
    try:
        if own_socket is not None:
            own_socket.bind(server.add_insecure_port)
            yield f"unix:{listen_config.socket_path}"
        if listen_config.listen is not None:
            address = check_tcp(listen_config.listen, has_tls=listen_config.tls is not None)
            if listen_config.tls is not None:
                port = server.add_secure_port(address, server_credentials(listen_config.tls))
            else:
                port = server.add_insecure_port(address)
            yield f"{address.rpartition(':')[0]}:{port}"
    except (OSError, RuntimeError) as error:
        if own_socket is not None:
            own_socket.remove()
        place = listen_config.listen or listen_config.socket_path
        raise AddressRefused(f"cannot listen on {place}: {error}") from error
