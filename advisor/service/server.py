"""Builds the gRPC server."""

from __future__ import annotations

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
)
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from advisor.application.application import Application
from advisor.service.address import AddressRefused, check_tcp, owner_only, prepare_socket
from advisor.service.call_log import CallLog
from advisor.service.device_servicer import DeviceServicer
from advisor.service.errors import ErrorTranslator
from advisor.service.memory_servicer import MemoryServicer
from advisor.service.metrics import Metrics
from advisor.service.pulse import Pulse
from advisor.service.recommendation_servicer import RecommendationServicer
from advisor.service.source_servicer import SourceServicer

SERVICE_NAMES = tuple(
    service.full_name
    for module in (
        device_service_pb2,
        memory_service_pb2,
        recommendation_service_pb2,
        source_service_pb2,
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
    # A second daemon on a port must fail, not take half of the calls.
    ("grpc.so_reuseport", 0),
    # A watcher may wait for long in silence; routers forget connections after some minutes.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A server that is bound, and not yet started.

    Attributes:
        server: The server.
        addresses: Where clients reach it.
        pulse: What says whether it can do its work.
    """

    server: grpc.aio.Server
    addresses: tuple[str, ...]
    pulse: Pulse


async def make_server(
    application: Application,
    *,
    metrics: Metrics | None = None,
    socket_path: Path | None = None,
    listen: str | None = None,
) -> Bound:
    """Build a server, and bind it without starting it.

    Args:
        application: What it serves.
        metrics: Where calls are counted; None for nowhere that anyone sees.
        socket_path: A unix socket to make, its owner's alone.
        listen: ``host:port`` on loopback; port 0 takes a free one.

    Raises:
        AddressRefused: It may not, or cannot, listen there.
    """
    monotonic_s = application.clock.monotonic_s
    metrics = metrics or Metrics(monotonic_s)
    interceptors = (CallLog(metrics, monotonic_s), ErrorTranslator())
    server = grpc.aio.server(interceptors=interceptors, options=_OPTIONS)
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
    pulse = Pulse(application, metrics, service_names=SERVICE_NAMES, without_store=_WITHOUT_STORE)
    await pulse.look()
    health_pb2_grpc.add_HealthServicer_to_server(pulse.servicer, server)
    reflection.enable_server_reflection((*SERVICE_NAMES, reflection.SERVICE_NAME), server)
    addresses = tuple(_bind(server, socket_path, listen))
    return Bound(server=server, addresses=addresses, pulse=pulse)


def _bind(server: grpc.aio.Server, socket_path: Path | None, listen: str | None) -> list[str]:
    addresses = []
    try:
        if socket_path is not None:
            prepare_socket(socket_path)
            with owner_only():
                server.add_insecure_port(f"unix:{socket_path}")
            addresses.append(f"unix:{socket_path}")
        if listen is not None:
            port = server.add_insecure_port(check_tcp(listen))
            addresses.append(f"{listen.rpartition(':')[0]}:{port}")
    except (OSError, RuntimeError) as error:
        raise AddressRefused(f"cannot listen on {socket_path or listen}: {error}") from error
    return addresses
