"""What one principal takes leaves enough for the others, and each is told where it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from bsadvise.v1 import memory_service_pb2, source_service_pb2
from bsadvise.v1 import recommendation_service_pb2 as pb

from advisor.application import sources
from advisor.application.sharing import SharingPolicy
from advisor.domain.access import Limits
from advisor.service.server import ListenConfig
from tests.support.bench import BUNDLE, Bench
from tests.support.bundles import digest_of
from tests.support.house import House, refusal
from tests.support.server import Client, advice_request, serving_at


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state")


@pytest.fixture
async def house(bench: Bench) -> AsyncIterator[House]:
    async with serving_at(bench, ListenConfig(listen="127.0.0.1:0")) as (application, bound):
        yield House(bench, application, bound)


async def test_a_full_queue_refuses_more_and_says_whose(bench: Bench) -> None:
    bench.policy = SharingPolicy(limits=Limits(max_queued=1))
    bench.pool.gate.clear()
    async with serving_at(bench, ListenConfig(listen="127.0.0.1:0")) as (application, bound):
        house = House(bench, application, bound)
        async with house.caller("alice") as alice, house.caller("bob") as bob:
            await alice.upload()
            await bob.upload()

            def create(client: Client, name: str) -> Any:
                request = pb.CreateRecommendationRequest(request_id=name, request=advice_request())
                return client.recommendations.CreateRecommendation(request)

            first = await create(alice, "one")
            await bench.pool.entered.wait()  # it has begun, and waits no more
            waiting = await create(alice, "two")
            refused = await refusal(create(alice, "three"))
            assert (await create(alice, "two")).recommendation == waiting.recommendation
            others = await create(bob, "one")
        bench.pool.gate.set()
    assert first.recommendation.recommendation_id
    assert waiting.recommendation.waiting.position == 1
    assert others.recommendation.waiting.position in (1, 2)
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.info.reason == "QUOTA_EXCEEDED"
    assert dict(refused.info.metadata) == {"quota": "max_queued", "limit": "1"}


async def test_an_upload_that_stalls_is_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.caller("alice") as client:
        with monkeypatch.context() as impatient:
            impatient.setattr(sources, "STALL_LIMIT_S", 0.05)
            call = client.sources.UploadSource()
            await call.write(
                source_service_pb2.UploadSourceRequest(digest=digest_of(BUNDLE), chunk=BUNDLE[:3])
            )
            refused = await refusal(call)
        assert await client.upload()
    assert refused.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert refused.info.reason == "UPLOAD_STALLED"


async def test_uploads_of_one_principal_are_bounded_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_IN_FLIGHT_BYTES", len(BUNDLE) + 3)
    async with serving_at(bench, ListenConfig(listen="127.0.0.1:0")) as (application, bound):
        house = House(bench, application, bound)
        async with house.caller("alice") as alice, house.caller("bob") as bob:
            slow = alice.sources.UploadSource()
            await slow.write(
                source_service_pb2.UploadSourceRequest(digest=digest_of(BUNDLE), chunk=BUNDLE[:9])
            )
            while not application.sources._in_flight._held:
                await bob.upload()  # another's are none of alice's
            refused = await refusal(alice.upload())
            slow.cancel()
            while application.sources._in_flight._held:
                await bob.upload()
            assert await alice.upload()
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.info.metadata["quota"] == "upload_bytes_in_flight"


async def test_a_watcher_may_ask_for_its_place_in_the_queue(house: House, bench: Bench) -> None:
    bench.pool.gate.clear()
    async with house.caller("alice") as alice:
        await alice.upload()
        created = [
            (
                await alice.recommendations.CreateRecommendation(
                    pb.CreateRecommendationRequest(
                        request_id=f"{seed}", request=advice_request(seed=seed)
                    )
                )
            ).recommendation
            for seed in range(2)
        ]
        await bench.pool.entered.wait()
        watch = pb.WatchRecommendationRequest(
            recommendation_id=created[1].recommendation_id, include_waiting=True
        )
        stream = alice.recommendations.WatchRecommendation(watch)
        told = []
        async for response in stream:
            told.append(response)
            if response.HasField("waiting"):
                bench.pool.gate.set()
    kinds = ["waiting" if response.HasField("waiting") else "event" for response in told]
    assert kinds[:2] == ["event", "waiting"]
    assert told[1].waiting.position == 1
    assert told[1].waiting.expected_start_at_s > bench.clock.now_s()
    assert set(kinds[2:]) == {"event"}
    assert [r.event.sequence for r in told if r.HasField("event")] == list(range(1, len(told)))


async def test_a_budget_beyond_the_most_is_refused(bench: Bench) -> None:
    bench.policy = SharingPolicy(limits=Limits(max_budget_s=100.0, max_estimate_budget_s=100.0))
    async with serving_at(bench, ListenConfig(listen="127.0.0.1:0")) as (application, bound):
        house = House(bench, application, bound)
        async with house.caller("alice") as alice:
            await alice.upload()
            longer = pb.CreateRecommendationRequest(
                request_id="longer", request=advice_request(budget_s=100.5)
            )
            refused = await refusal(alice.recommendations.CreateRecommendation(longer))
            estimate = memory_service_pb2.EstimateMemoryRequest(request=longer.request)
            also_refused = await refusal(alice.memory.EstimateMemory(estimate))
            longer.request.budget_s = 100.0
            await alice.recommendations.CreateRecommendation(longer)
    assert refused.violations.keys() == also_refused.violations.keys() == {"request.budget_s"}
    assert "at most 100 s" in refused.violations["request.budget_s"]
