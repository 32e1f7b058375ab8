"""A daemon that trusts nobody, and callers of every method of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from bsadvise.model.token import Scope
from bsadvise.v1 import device_service_pb2, memory_service_pb2, source_service_pb2
from bsadvise.v1 import recommendation_service_pb2 as pb
from bsadvise.v1 import token_service_pb2 as tokens_pb

from advisor.application.application import Application
from advisor.service.server import Bound
from tests.support.bench import BUNDLE, Bench
from tests.support.bundles import digest_of
from tests.support.server import Client, Refused, advice_request
from tests.support.showing import showing

CREATE = pb.CreateRecommendationRequest(request_id="one", request=advice_request())


class House:
    """A daemon on loopback that trusts nobody, and clients of it."""

    def __init__(self, bench: Bench, application: Application, bound: Bound) -> None:
        self.bench = bench
        self.application = application
        self.bound = bound
        (self.address,) = bound.addresses

    @asynccontextmanager
    async def client(self, authorization: str | None) -> AsyncIterator[Client]:
        """Yield a client that shows an authorization."""
        interceptors = [] if authorization is None else showing(authorization)
        async with grpc.aio.insecure_channel(self.address, interceptors=interceptors) as channel:
            yield Client(self.address, channel, self.application, self.bound.health_reporter)

    @asynccontextmanager
    async def caller(self, principal: str, scope: Scope = Scope.RUN) -> AsyncIterator[Client]:
        """Yield a client of a principal."""
        _, text = await self.application.tokens.create(principal, scope)
        async with self.client(f"Bearer {text}") as client:
            yield client


async def refusal(call: Coroutine[Any, Any, Any] | Any) -> Refused:
    """Return how a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refused(caught.value)


async def drain(call: Any) -> list[Any]:
    return [response async for response in call]


async def chunks(*pieces: bytes) -> AsyncIterator[source_service_pb2.UploadSourceRequest]:
    for piece in pieces:
        yield source_service_pb2.UploadSourceRequest(digest=digest_of(BUNDLE), chunk=piece)


Call = Callable[[Client, str], Any]
CALLS: dict[str, Call] = {
    "RecommendationService/CreateRecommendation": lambda c, _: (
        c.recommendations.CreateRecommendation(CREATE)
    ),
    "RecommendationService/GetRecommendation": lambda c, x: c.recommendations.GetRecommendation(
        pb.GetRecommendationRequest(recommendation_id=x)
    ),
    "RecommendationService/ListRecommendations": lambda c, _: c.recommendations.ListRecommendations(
        pb.ListRecommendationsRequest()
    ),
    "RecommendationService/CancelRecommendation": lambda c, x: (
        c.recommendations.CancelRecommendation(pb.CancelRecommendationRequest(recommendation_id=x))
    ),
    "RecommendationService/DeleteRecommendation": lambda c, x: (
        c.recommendations.DeleteRecommendation(pb.DeleteRecommendationRequest(recommendation_id=x))
    ),
    "RecommendationService/WatchRecommendation": lambda c, x: drain(
        c.recommendations.WatchRecommendation(pb.WatchRecommendationRequest(recommendation_id=x))
    ),
    "RecommendationService/ListMeasurements": lambda c, x: c.recommendations.ListMeasurements(
        pb.ListMeasurementsRequest(recommendation_id=x)
    ),
    "RecommendationService/ExplainRecommendation": lambda c, x: (
        c.recommendations.ExplainRecommendation(
            pb.ExplainRecommendationRequest(recommendation_id=x)
        )
    ),
    "SourceService/CheckSource": lambda c, _: c.sources.CheckSource(
        source_service_pb2.CheckSourceRequest(digest=digest_of(BUNDLE))
    ),
    "SourceService/UploadSource": lambda c, _: c.sources.UploadSource(chunks(BUNDLE)),
    "MemoryService/EstimateMemory": lambda c, _: c.memory.EstimateMemory(
        memory_service_pb2.EstimateMemoryRequest(request=advice_request())
    ),
    "DeviceService/ListDevices": lambda c, _: c.devices.ListDevices(
        device_service_pb2.ListDevicesRequest()
    ),
    "TokenService/CreateToken": lambda c, _: c.tokens.CreateToken(
        tokens_pb.CreateTokenRequest(principal="eve", scope=tokens_pb.SCOPE_ADMIN)
    ),
    "TokenService/ListTokens": lambda c, _: c.tokens.ListTokens(tokens_pb.ListTokensRequest()),
    "TokenService/RevokeToken": lambda c, x: c.tokens.RevokeToken(
        tokens_pb.RevokeTokenRequest(token_id=x)
    ),
}
