"""The health service says what can be done now; a full disk is told from a broken one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from bsadvise.v1 import recommendation_service_pb2 as pb
from grpc_health.v1 import health_pb2

from advisor.domain.access import NO_LIMITS, Limits
from advisor.domain.errors import StoreFull, StoreUnavailable
from advisor.service.server import SERVICE_NAMES
from tests.support.bench import Bench, until
from tests.support.memory_store import MemoryStore
from tests.support.server import Client, Refused, advice_request, serving

DEVICES = "bsadvise.v1.DeviceService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NAMES = ("", *SERVICE_NAMES)


class AilingStore(MemoryStore):
    """Fails as it is told to: without a database, or on a full disk."""

    is_away = False
    is_full = False

    async def check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")

    async def put_source(
        self, digest: str, bundle: bytes, *, principal: str, limits: Limits = NO_LIMITS
    ) -> None:
        if self.is_full:
            raise StoreFull("the disk that holds /a/secret/place is full")
        await super().put_source(digest, bundle, principal=principal, limits=limits)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state")


@pytest.fixture
def store(bench: Bench) -> AilingStore:
    store = AilingStore(bench.clock)
    bench.store = store
    return store


@pytest.fixture
async def client(bench: Bench, store: AilingStore) -> AsyncIterator[Client]:
    async with serving(bench) as client:
        yield client


async def statuses(client: Client) -> dict[str, int]:
    check = client.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return {
        name: (await check(health_pb2.HealthCheckRequest(service=name))).status for name in NAMES
    }


async def test_a_daemon_that_works_says_so(client: Client, bench: Bench) -> None:
    assert set((await statuses(client)).values()) == {SERVING}
    assert bench.telemetry.registry.get_sample_value("bsadvise_store_available") == 1


async def test_without_its_database_it_can_only_list_devices(
    client: Client, store: AilingStore, bench: Bench
) -> None:
    store.is_away = True
    await client.health_reporter.check_once()
    found = await statuses(client)
    assert {name for name, status in found.items() if status == SERVING} == {DEVICES}
    assert bench.telemetry.registry.get_sample_value("bsadvise_store_available") == 0

    store.is_away = False
    await client.health_reporter.check_once()
    assert set((await statuses(client)).values()) == {SERVING}


async def test_while_it_drains_it_serves_nothing_and_stays_so(client: Client) -> None:
    await client.health_reporter.drain()
    await client.health_reporter.check_once()
    assert set((await statuses(client)).values()) == {NOT_SERVING}


async def test_while_an_essential_task_fails_it_says_so(client: Client, bench: Bench) -> None:
    async def fail() -> None:
        raise MemoryError("none is left")

    supervisor = client.application.supervisor
    keeping = asyncio.create_task(supervisor.keep("queue", fail, is_essential=True))
    await bench.clock.wait_for_light_sleeper(1.0)
    bench.clock.advance(1.0)
    await until(supervisor.failing)
    await client.health_reporter.check_once()
    assert (await statuses(client))[""] == NOT_SERVING
    registry = bench.telemetry.registry
    assert registry.get_sample_value("bsadvise_task_failing", {"task": "queue"}) == 1
    assert registry.get_sample_value("bsadvise_task_failures_total", {"task": "queue"}) == 2
    assert registry.get_sample_value("bsadvise_store_available") == 1

    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await client.health_reporter.check_once()
    assert set((await statuses(client)).values()) == {SERVING}
    assert registry.get_sample_value("bsadvise_task_failing", {"task": "queue"}) is None


async def test_the_queue_s_length_is_told(client: Client, bench: Bench) -> None:
    await client.upload()
    bench.pool.gate.clear()
    for name in ("one", "two", "three"):
        create = pb.CreateRecommendationRequest(request_id=name, request=advice_request())
        await client.recommendations.CreateRecommendation(create)
    await bench.pool.entered.wait()
    await client.health_reporter.check_once()
    counts = [
        bench.telemetry.registry.get_sample_value("bsadvise_recommendations", {"state": state})
        for state in ("queued", "running")
    ]
    bench.pool.gate.set()
    assert counts == [2, 1]


async def test_a_full_disk_refuses_new_work_lets_read_and_recovers(
    client: Client, store: AilingStore
) -> None:
    store.is_full = True
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.upload()
    refused = Refused(caught.value)
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.info.reason == "STORE_FULL"
    assert "full" in refused.sentence
    assert "secret" not in refused.sentence
    await client.recommendations.ListRecommendations(pb.ListRecommendationsRequest())

    store.is_full = False
    await client.upload()
