"""What callers may have open is bounded: before they are known, and for each of them."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from bsadvise.model.token import Scope
from bsadvise.v1 import device_service_pb2, memory_service_pb2
from bsadvise.v1 import recommendation_service_pb2 as pb
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from advisor.application import estimates as estimates_module
from advisor.application.feeds import Feed
from advisor.application.sharing import SharingPolicy
from advisor.domain.access import Limits
from advisor.kernel.descriptors import open_file_limit, raise_open_file_limit
from advisor.service import admission
from advisor.service.admission import RESERVED_DESCRIPTORS, AdmissionLimits
from advisor.service.server import ListenConfig
from tests.support.bench import Bench, until
from tests.support.house import CREATE, House, refusal
from tests.support.server import Client, Refused, advice_request, serving_at

ESTIMATE = "/bsadvise.v1.MemoryService/EstimateMemory"
WATCH = "/bsadvise.v1.RecommendationService/WatchRecommendation"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
LIMIT_S = 30


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state")


@asynccontextmanager
async def house_of(bench: Bench, **limits: Any) -> AsyncIterator[House]:
    listen_config = ListenConfig(listen="127.0.0.1:0")
    async with serving_at(bench, listen_config, AdmissionLimits(**limits)) as (application, bound):
        yield House(bench, application, bound)


async def list_devices(client: Client) -> None:
    await client.devices.ListDevices(device_service_pb2.ListDevicesRequest())


def feed_of(house: House, recommendation_id: str) -> Feed:
    return house.application.recommendations.feeds._feeds[recommendation_id]


def unfinished(client: Client, method: str) -> Any:
    """Begin a call whose request never comes."""
    return client.channel.stream_stream(method)()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Return once the other side has closed a connection."""
    async with asyncio.timeout(LIMIT_S):
        try:
            while await reader.read(1 << 16):
                pass
        except ConnectionError:
            pass
    return True


async def connect(house: House, said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = house.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    return reader, writer


@pytest.mark.parametrize("method", [ESTIMATE, WATCH])
async def test_who_shows_nothing_is_refused_while_the_request_is_unread(
    bench: Bench, method: str
) -> None:
    async with house_of(bench) as house, house.client(None) as stranger:
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await unfinished(stranger, method).read()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", [ESTIMATE, WATCH, "/grpc.health.v1.Health/Check"])
async def test_a_request_that_does_not_come_is_given_up(bench: Bench, method: str) -> None:
    async with house_of(bench, request_s=0.05) as house:
        _, text = await house.application.tokens.create("alice", Scope.RUN)
        async with house.client(None) as client:
            call: Any = client.channel.stream_stream(method)(
                metadata=(("authorization", f"Bearer {text}"),)
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
    assert Refused(caught.value).code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert Refused(caught.value).info.reason == "REQUEST_STALLED"


async def test_a_request_without_a_message_is_refused(bench: Bench) -> None:
    async with house_of(bench) as house:
        _, text = await house.application.tokens.create("alice", Scope.RUN)
        async with house.client(None) as client:
            call: Any = client.channel.stream_unary(ESTIMATE)(
                iter(()), metadata=(("authorization", f"Bearer {text}"),)
            )
            refused = await refusal(call)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_calls_of_a_principal_are_bounded_and_others_are_not_touched(bench: Bench) -> None:
    bench.pool.gate.clear()
    request = memory_service_pb2.EstimateMemoryRequest(request=advice_request())
    async with (
        house_of(bench, max_calls=1) as house,
        house.caller("alice") as alice,
        house.caller("bob") as bob,
    ):
        await alice.upload()
        held = asyncio.ensure_future(alice.memory.EstimateMemory(request))
        await bench.pool.entered.wait()
        refused = await refusal(list_devices(alice))
        await list_devices(bob)
        bench.pool.gate.set()
        await held
        await list_devices(alice)
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(refused.info.metadata) == {"quota": "max_calls", "limit": "1"}
    assert "under way already" in refused.sentence


async def test_watches_of_a_principal_are_bounded_and_are_no_calls(bench: Bench) -> None:
    bench.pool.gate.clear()
    async with house_of(bench, max_watches=2, max_calls=1) as house:
        async with house.caller("alice") as alice, house.caller("bob") as bob:
            ids = []
            for client in (alice, bob):
                await client.upload()
                created = await client.recommendations.CreateRecommendation(CREATE)
                ids.append(created.recommendation.recommendation_id)

            def watch(client: Client, number: int) -> Any:
                request = pb.WatchRecommendationRequest(recommendation_id=ids[number])
                return client.recommendations.WatchRecommendation(request)

            watches = [watch(alice, 0) for _ in range(2)]
            for one in watches:
                await one.read()
            refused = await refusal(watch(alice, 0).read())
            others = watch(bob, 1)
            assert await others.read()
            await list_devices(alice)
            watches[0].cancel()
            await until(lambda: feed_of(house, ids[0]).follower_count == 1)
            assert await watch(alice, 0).read()
        bench.pool.gate.set()
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(refused.info.metadata) == {"quota": "max_watches", "limit": "2"}


async def test_watches_of_one_recommendation_share_its_reads(bench: Bench) -> None:
    bench.pool.gate.clear()
    async with house_of(bench) as house, house.caller("alice") as alice:
        await alice.upload()
        created = (await alice.recommendations.CreateRecommendation(CREATE)).recommendation
        await bench.pool.entered.wait()
        request = pb.WatchRecommendationRequest(recommendation_id=created.recommendation_id)
        watches = [alice.recommendations.WatchRecommendation(request) for _ in range(20)]
        for one in watches:
            await one.read()
        assert feed_of(house, created.recommendation_id).follower_count == 20
        assert len(house.application.event_bus._subscribers[created.recommendation_id]) == 1
        bench.pool.gate.set()
        seen = [[each.event.sequence async for each in one] for one in watches]
        await until(lambda: not house.application.recommendations.feeds._feeds)
    assert len(set(map(tuple, seen))) == 1
    assert seen[0] == list(range(2, len(seen[0]) + 2))


async def test_who_watches_health_is_bounded_and_checks_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_HEALTH_WATCHES_OF_A_HOST", 2)
    async with house_of(bench) as house, house.client(None) as stranger:
        stub: Any = HealthStub(stranger.channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for one in watches:
            await one.read()
        refused = await refusal(stub.Watch(health_pb2.HealthCheckRequest()).read())
        checked = await stub.Check(health_pb2.HealthCheckRequest())
        unknown = await refusal(stub.Check(health_pb2.HealthCheckRequest(service="nothing")))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "use Check" in refused.sentence
    assert checked.status == health_pb2.HealthCheckResponse.SERVING
    assert unknown.code is grpc.StatusCode.NOT_FOUND


async def test_connections_beyond_the_bound_are_closed_and_those_before_are_served(
    bench: Bench,
) -> None:
    async with house_of(bench, max_connections=3) as house, house.caller("alice") as alice:
        await list_devices(alice)
        silent = [await connect(house, PREFACE) for _ in range(2)]
        for reader, _ in silent:
            assert await reader.read(1)  # gRPC's own settings: it is one of the three
        beyond, writer = await connect(house, PREFACE)
        assert await is_closed(beyond)
        await list_devices(alice)
        for one in (writer, *(each for _, each in silent)):
            one.close()


@pytest.mark.parametrize(
    ("said", "limits"),
    [(b"", {"handshake_s": 0.1}), (PREFACE, {"connection_idle_s": 0.1})],
)
async def test_a_connection_that_is_silent_is_closed(
    bench: Bench, said: bytes, limits: dict[str, float]
) -> None:
    async with house_of(bench, **limits) as house:
        reader, writer = await connect(house, said)
        assert await is_closed(reader)
        writer.close()


@pytest.mark.parametrize(
    ("open_files", "connections"),
    [(65_536, 10_000), (1024, (1024 - RESERVED_DESCRIPTORS) // 2), (64, 1)],
)
def test_connections_leave_descriptors_for_everything_else(
    open_files: int, connections: int
) -> None:
    options = dict(AdmissionLimits().server_options(open_files))
    assert options["grpc.max_allowed_incoming_connections"] == connections


def test_the_soft_limit_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
        raise_open_file_limit()
        assert open_file_limit() == min(before[1] % (1 << 63), 1 << 16)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_budgets_are_bounded(bench: Bench) -> None:
    bench.policy = SharingPolicy(limits=Limits(max_budget_s=100.0, max_estimate_budget_s=10.0))
    async with house_of(bench) as house, house.caller("alice") as alice:
        await alice.upload()
        create = pb.CreateRecommendationRequest(
            request_id="one", request=advice_request(budget_s=101.0)
        )
        estimate = memory_service_pb2.EstimateMemoryRequest(request=advice_request(budget_s=11.0))
        refused = [
            await refusal(alice.recommendations.CreateRecommendation(create)),
            await refusal(alice.memory.EstimateMemory(estimate)),
        ]
    assert [one.violations for one in refused] == [
        {"request.budget_s": f"must be at most {most} s on this daemon"} for most in (100, 10)
    ]


async def test_an_estimate_that_hangs_ends_and_is_charged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates_module, "_LEAST_WALL_LIMIT_S", 0.0)
    bench.policy = SharingPolicy(limits=Limits(device_s_per_day=60.0))
    bench.pool.gate.clear()
    async with house_of(bench) as house, house.caller("alice") as alice:
        await alice.upload()

        def estimate(budget_s: float) -> Any:
            request = advice_request(budget_s=budget_s)
            return alice.memory.EstimateMemory(
                memory_service_pb2.EstimateMemoryRequest(request=request)
            )

        hung = await refusal(estimate(0.01))
        assert bench.pool.open_session_count == 0
        bench.pool.entered.clear()
        working = asyncio.ensure_future(estimate(1e6))
        await bench.pool.entered.wait()
        bench.clock.advance(61)
        bench.pool.gate.set()
        await working
        spent = await refusal(estimate(1.0))
    assert hung.info.reason == "TIMED_OUT"
    assert "may hang" in hung.sentence
    assert await bench.store.used_device_s("alice") == 61.0
    assert dict(spent.info.metadata) == {"quota": "device_s_per_day", "limit": "60"}
