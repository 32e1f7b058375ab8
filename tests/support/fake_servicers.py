"""The fake daemon's services: small, over what it keeps in memory."""

# ruff: noqa: N802 - the contract names the methods

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
from bsadvise.v1 import (
    device_service_pb2,
    device_service_pb2_grpc,
    memory_service_pb2,
    memory_service_pb2_grpc,
    recommendation_service_pb2_grpc,
    source_service_pb2,
    source_service_pb2_grpc,
    token_service_pb2,
    token_service_pb2_grpc,
)
from bsadvise.v1 import recommendation_service_pb2 as wire

from tests.support.wire_samples import wire_devices

if TYPE_CHECKING:
    from tests.support.fake_server import FakeDaemon


class Recommendations(recommendation_service_pb2_grpc.RecommendationServiceServicer):
    """Fake of the daemon's RecommendationService."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    async def CreateRecommendation(
        self, request: Any, context: Any
    ) -> wire.CreateRecommendationResponse:
        await self._daemon.take(request, context)
        job = self._daemon.create(request.request_id, request.request)
        return wire.CreateRecommendationResponse(recommendation=job.recommendation)

    async def GetRecommendation(self, request: Any, context: Any) -> wire.GetRecommendationResponse:
        await self._daemon.take(request, context)
        job = await self._daemon.find(request.recommendation_id, context)
        return wire.GetRecommendationResponse(recommendation=job.recommendation)

    async def ListRecommendations(
        self, request: Any, context: Any
    ) -> wire.ListRecommendationsResponse:
        await self._daemon.take(request, context)
        newest = [job.recommendation for job in reversed(self._daemon.jobs.values())]
        start = int(request.page_token or 0)
        end = start + (request.page_size or 50)
        return wire.ListRecommendationsResponse(
            recommendations=newest[start:end],
            next_page_token=str(end) if end < len(newest) else "",
        )

    async def CancelRecommendation(
        self, request: Any, context: Any
    ) -> wire.CancelRecommendationResponse:
        await self._daemon.take(request, context)
        job = await self._daemon.find(request.recommendation_id, context)
        await self._daemon.cancel(job)
        return wire.CancelRecommendationResponse(recommendation=job.recommendation)

    async def DeleteRecommendation(
        self, request: Any, context: Any
    ) -> wire.DeleteRecommendationResponse:
        await self._daemon.take(request, context)
        job = await self._daemon.find(request.recommendation_id, context)
        if not job.has_ended:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it is still running")
        del self._daemon.jobs[request.recommendation_id]
        return wire.DeleteRecommendationResponse()

    async def WatchRecommendation(
        self, request: Any, context: Any
    ) -> AsyncIterator[wire.WatchRecommendationResponse]:
        await self._daemon.take(request, context)
        job = await self._daemon.find(request.recommendation_id, context)
        for place in self._daemon.waiting if request.include_waiting else ():
            yield wire.WatchRecommendationResponse(waiting=place)
        async for event in self._daemon.events_after(job, request.after_sequence):
            yield wire.WatchRecommendationResponse(event=event)

    async def ListMeasurements(self, request: Any, context: Any) -> wire.ListMeasurementsResponse:
        await self._daemon.take(request, context)
        job = await self._daemon.find(request.recommendation_id, context)
        happenings = [event.happening for event in job.events]
        log = [h.measured.measurement for h in happenings if h.HasField("measured")]
        return wire.ListMeasurementsResponse(measurements=log)

    async def ExplainRecommendation(
        self, request: Any, context: Any
    ) -> wire.ExplainRecommendationResponse:
        await self._daemon.take(request, context)
        await self._daemon.find(request.recommendation_id, context)
        if self._daemon.explanation is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        return wire.ExplainRecommendationResponse(explanation=self._daemon.explanation)


class Sources(source_service_pb2_grpc.SourceServiceServicer):
    """Fake of the daemon's SourceService."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    async def CheckSource(
        self, request: Any, context: Any
    ) -> source_service_pb2.CheckSourceResponse:
        await self._daemon.take(request, context)
        return source_service_pb2.CheckSourceResponse(exists=request.digest in self._daemon.sources)

    async def UploadSource(
        self, request_iterator: AsyncIterator[Any], context: Any
    ) -> source_service_pb2.UploadSourceResponse:
        pieces = [piece async for piece in request_iterator]
        await self._daemon.take(pieces[0], context)
        content = b"".join(piece.chunk for piece in pieces)
        digest = hashlib.sha256(content).hexdigest()
        if digest != pieces[0].digest or max(len(piece.chunk) for piece in pieces) > 1 << 20:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "damaged")
        self._daemon.sources[digest] = content
        return source_service_pb2.UploadSourceResponse(digest=digest)


class Memory(memory_service_pb2_grpc.MemoryServiceServicer):
    """Fake of the daemon's MemoryService."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    async def EstimateMemory(
        self, request: Any, context: Any
    ) -> memory_service_pb2.EstimateMemoryResponse:
        await self._daemon.take(request, context)
        return memory_service_pb2.EstimateMemoryResponse(estimate=self._daemon.estimate)


class Devices(device_service_pb2_grpc.DeviceServiceServicer):
    """Fake of the daemon's DeviceService."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    async def ListDevices(
        self, request: Any, context: Any
    ) -> device_service_pb2.ListDevicesResponse:
        await self._daemon.take(request, context)
        return device_service_pb2.ListDevicesResponse(devices=wire_devices())


class Tokens(token_service_pb2_grpc.TokenServiceServicer):
    """Fake of the daemon's TokenService."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    async def CreateToken(
        self, request: Any, context: Any
    ) -> token_service_pb2.CreateTokenResponse:
        await self._daemon.take(request, context)
        made = token_service_pb2.Token(
            token_id=f"{len(self._daemon.tokens):016x}",
            principal=request.principal,
            scope=request.scope,
            created_at_s=1_700_000_000.0,
            expires_at_s=1_700_000_000.0 + request.life_s,
        )
        self._daemon.tokens.append(made)
        return token_service_pb2.CreateTokenResponse(token=made, text="bsa_secret")

    async def ListTokens(self, request: Any, context: Any) -> token_service_pb2.ListTokensResponse:
        await self._daemon.take(request, context)
        return token_service_pb2.ListTokensResponse(tokens=self._daemon.tokens)

    async def RevokeToken(
        self, request: Any, context: Any
    ) -> token_service_pb2.RevokeTokenResponse:
        await self._daemon.take(request, context)
        (token,) = [one for one in self._daemon.tokens if one.token_id == request.token_id]
        token.revoked_at_s = 1_700_000_001.0
        return token_service_pb2.RevokeTokenResponse(token=token)
