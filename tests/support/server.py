"""A real server over fakes, and what a client needs to talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from bsadvise.v1 import source_service_pb2
from bsadvise.v1.device_service_pb2_grpc import DeviceServiceStub
from bsadvise.v1.memory_service_pb2_grpc import MemoryServiceStub
from bsadvise.v1.recommendation_pb2 import AdviceRequest, Source
from bsadvise.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from bsadvise.v1.source_service_pb2_grpc import SourceServiceStub
from bsadvise.v1.token_service_pb2_grpc import TokenServiceStub
from google.rpc import error_details_pb2, status_pb2

from advisor.application.application import Application
from advisor.service.admission import AdmissionLimits
from advisor.service.health import HealthReporter
from advisor.service.server import Bound, ListenConfig, make_server
from tests.support.bench import BUNDLE, Bench
from tests.support.bundles import digest_of
from tests.support.showing import secret_of, showing


class Client:
    """The stubs of every service, on one channel."""

    def __init__(
        self,
        address: str,
        channel: grpc.aio.Channel,
        application: Application,
        health_reporter: HealthReporter,
    ) -> None:
        self.address = address
        self.channel = channel
        self.application = application
        self.health_reporter = health_reporter
        self.recommendations = RecommendationServiceStub(channel)
        self.sources = SourceServiceStub(channel)
        self.memory = MemoryServiceStub(channel)
        self.devices = DeviceServiceStub(channel)
        self.tokens = TokenServiceStub(channel)

    async def upload(self, bundle: bytes = BUNDLE, digest: str | None = None) -> str:
        """Upload a bundle in small pieces, and return the digest under which it is kept."""
        digest = digest or digest_of(bundle)

        async def pieces() -> AsyncIterator[source_service_pb2.UploadSourceRequest]:
            yield source_service_pb2.UploadSourceRequest(digest=digest, chunk=bundle[:16])
            for start in range(16, len(bundle), 1 << 20):
                chunk = bundle[start : start + (1 << 20)]
                yield source_service_pb2.UploadSourceRequest(chunk=chunk)

        response = await self.sources.UploadSource(pieces())
        return response.digest


@asynccontextmanager
async def serving(bench: Bench, socket_path: Path | None = None) -> AsyncIterator[Client]:
    """Serve a bench on a unix socket, or on a free port of loopback, its queue running."""
    listen_config = ListenConfig(
        socket_path=socket_path,
        listen=None if socket_path else "127.0.0.1:0",
        trust_loopback=True,
        reflection=True,
    )
    async with serving_at(bench, listen_config) as (application, bound):
        (address,) = bound.addresses
        interceptors = showing(secret_of(address)) if socket_path else []
        async with grpc.aio.insecure_channel(address, interceptors=interceptors) as channel:
            yield Client(address, channel, application, bound.health_reporter)


@asynccontextmanager
async def serving_at(
    bench: Bench, listen_config: ListenConfig, limits: AdmissionLimits | None = None
) -> AsyncIterator[tuple[Application, Bound]]:
    """Serve a bench at an address, its queue running."""
    async with bench.running() as application:
        bound = await make_server(
            application, listen_config, metrics=bench.telemetry, limits=limits
        )
        await bound.server.start()
        try:
            yield application, bound
        finally:
            await bound.server.stop(grace=None)
            bound.release()


def advice_request(**changes: Any) -> AdviceRequest:
    """Return the message of a request about the bench's bundle, on the CPU."""
    defaults: dict[str, Any] = {
        "source": Source(digest=digest_of(BUNDLE), entry_path="model.py"),
        "device": "cpu",
    }
    return AdviceRequest(**defaults | changes)


class Refused:
    """What a refused call was told.

    Attributes:
        code: gRPC's status code.
        sentence: For a person.
        info: ``google.rpc.ErrorInfo``.
        violations: Description of each wrong field.
    """

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.sentence = error.details() or ""
        self.info = error_details_pb2.ErrorInfo()
        self.violations: dict[str, str] = {}
        serialized = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
        for detail in status_pb2.Status.FromString(serialized).details:
            bad_request = error_details_pb2.BadRequest()
            detail.Unpack(self.info)
            if detail.Unpack(bad_request):
                self.violations = {v.field: v.description for v in bad_request.field_violations}
