"""RecommendationService over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from bsadvise.v1 import recommendation_pb2
from bsadvise.v1 import recommendation_service_pb2 as pb

from tests.support.bench import Bench, until
from tests.support.bundles import digest_of, make_bundle
from tests.support.scripted_planner import SCRIPT
from tests.support.server import Client, Refused, advice_request, serving

EVENT_COUNT = 3 + 2 * len(SCRIPT)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state")


@pytest.fixture(params=["tcp", "unix"])
async def client(
    request: pytest.FixtureRequest, bench: Bench, tmp_path: Path
) -> AsyncIterator[Client]:
    socket_path = tmp_path / "run" / "daemon.sock" if request.param == "unix" else None
    async with serving(bench, socket_path) as client:
        yield client


async def _create(
    client: Client, request_id: str = "one", **changes: object
) -> recommendation_pb2.Recommendation:
    await client.upload()
    request = pb.CreateRecommendationRequest(
        request_id=request_id, request=advice_request(**changes)
    )
    return (await client.recommendations.CreateRecommendation(request)).recommendation


async def _watch(client: Client, recommendation_id: str, after: int = 0) -> list[int]:
    request = pb.WatchRecommendationRequest(
        recommendation_id=recommendation_id, after_sequence=after
    )
    events = client.recommendations.WatchRecommendation(request)
    return [response.event.sequence async for response in events]


async def test_create_watch_get(client: Client) -> None:
    created = await _create(client)
    assert created.state == recommendation_pb2.STATE_QUEUED
    assert await _watch(client, created.recommendation_id) == list(range(1, EVENT_COUNT + 1))

    request = pb.GetRecommendationRequest(recommendation_id=created.recommendation_id)
    found = (await client.recommendations.GetRecommendation(request)).recommendation
    assert found.state == recommendation_pb2.STATE_SUCCEEDED
    assert found.advice.micro_batch_size == 32
    assert found.advice.fingerprint == created.fingerprint


async def test_list_measurements_returns_the_log(client: Client) -> None:
    created = await _create(client)
    await _watch(client, created.recommendation_id)
    request = pb.ListMeasurementsRequest(recommendation_id=created.recommendation_id)
    response = await client.recommendations.ListMeasurements(request)
    kinds = [entry.command.WhichOneof("command") for entry in response.measurements]
    assert kinds == ["inspect_task", "run_step", "time_steps", "train", "verify"]


async def test_what_an_answer_rests_on_is_explained_also_of_one_from_the_cache(
    client: Client,
) -> None:
    first = await _create(client)
    await _watch(client, first.recommendation_id)
    second = await _create(client, request_id="two")
    assert second.advice.search.cache_hit
    for created in (first, second):
        listing = pb.ListMeasurementsRequest(recommendation_id=created.recommendation_id)
        measured = (await client.recommendations.ListMeasurements(listing)).measurements
        asking = pb.ExplainRecommendationRequest(recommendation_id=created.recommendation_id)
        found = (await client.recommendations.ExplainRecommendation(asking)).explanation
        assert len(measured) == len(found.reasons) == len(SCRIPT)
        assert all(found.reasons)
        assert found.tuning_digest


async def test_watch_resumes_after_every_sequence_number(client: Client) -> None:
    created = await _create(client)
    await _watch(client, created.recommendation_id)
    for after in range(EVENT_COUNT + 3):
        expected = list(range(after + 1, EVENT_COUNT + 1))
        assert await _watch(client, created.recommendation_id, after) == expected


async def test_watchers_that_come_at_any_time_see_every_event_once(
    client: Client, bench: Bench
) -> None:
    bench.pool.gate.clear()
    created = await _create(client)
    early = asyncio.create_task(_watch(client, created.recommendation_id))
    await bench.pool.entered.wait()
    late = [
        asyncio.create_task(_watch(client, created.recommendation_id, after)) for after in range(6)
    ]
    bench.pool.gate.set()
    assert await early == list(range(1, EVENT_COUNT + 1))
    for after, watcher in enumerate(late):
        assert await watcher == list(range(after + 1, EVENT_COUNT + 1))


async def test_the_same_id_and_request_create_once(client: Client) -> None:
    first = await _create(client)
    second = await _create(client)
    assert first.recommendation_id == second.recommendation_id


async def test_the_same_id_with_another_request_is_refused(client: Client) -> None:
    await _create(client)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _create(client, seed=1)
    refused = Refused(caught.value)
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert (refused.info.reason, refused.info.domain) == ("REQUEST_ID_REUSED", "bsadvise")


async def test_the_second_answer_comes_from_the_cache(client: Client, bench: Bench) -> None:
    first = await _create(client)
    await _watch(client, first.recommendation_id)
    second = await _create(client, "two")
    assert second.recommendation_id != first.recommendation_id
    assert second.state == recommendation_pb2.STATE_SUCCEEDED
    assert second.advice.search.cache_hit
    assert await _watch(client, second.recommendation_id) == [1]
    assert len(bench.pool.commands) == len(SCRIPT)


async def test_every_wrong_field_is_named_at_once(client: Client) -> None:
    request = pb.CreateRecommendationRequest(
        request_id="one",
        request=recommendation_pb2.AdviceRequest(
            source=recommendation_pb2.Source(digest="abc", entry_path="model.txt"),
            memory_limit_bytes=-1,
            world_size=0,
            budget_s=float("nan"),
            seed=-1,
        ),
    )
    request.request.objective = 99  # type: ignore[assignment] # of a later version
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.recommendations.CreateRecommendation(request)
    refused = Refused(caught.value)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.info.reason == "INVALID_REQUEST"
    assert refused.violations.keys() == {
        "request.source.digest",
        "request.source.entry_path",
        "request.memory_limit_bytes",
        "request.world_size",
        "request.budget_s",
        "request.seed",
        "request.objective",
    }
    assert refused.violations["request.memory_limit_bytes"] == (
        "memory_limit_bytes must be greater than 0, not -1"
    )


async def test_fields_that_do_not_go_together_are_named_at_once(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _create(
            client,
            "not an id!",
            device="cuda:7",
            world_size=3,
            effective_batch_size=64,
            memory_limit_bytes=1,
            margin_bytes=2,
            build_kwargs={"not a name": "1"},
            observe_only=True,
            model_class="no name",
            data_paths={"data": "relative"},
        )
    assert Refused(caught.value).violations.keys() == {
        "request_id",
        "request.device",
        "request.effective_batch_size",
        "request.margin_bytes",
        "request.build_kwargs",
        "request.observe_only",
        "request.model_class",
        "request.data_paths",
    }


@pytest.mark.parametrize("price", [None, -1.0, float("nan")])
async def test_the_cost_objective_needs_a_price(client: Client, price: float | None) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _create(client, objective=recommendation_pb2.OBJECTIVE_COST, device_hour_price=price)
    assert Refused(caught.value).violations.keys() == {"request.device_hour_price"}


@pytest.mark.parametrize("share", [0.05, 0.0, 1.5, float("nan")])
async def test_a_budget_that_is_a_share_needs_the_length_it_is_a_share_of(
    client: Client, share: float
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _create(client, budget_share=share)
    assert Refused(caught.value).violations.keys() == {"request.budget_share"}


async def test_an_unspecified_objective_is_refused(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _create(client, objective=recommendation_pb2.OBJECTIVE_UNSPECIFIED)
    assert Refused(caught.value).violations.keys() == {"request.objective"}


@pytest.mark.parametrize("number", [0, 999])
async def test_an_entry_kind_that_is_not_known_is_refused(client: Client, number: int) -> None:
    request = advice_request()
    request.source.entry_kind = number  # type: ignore[assignment] # of a later version
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _create(client, source=request.source)
    assert Refused(caught.value).violations.keys() == {"request.source.entry_kind"}


async def test_a_model_file_takes_no_command_line(client: Client) -> None:
    request = advice_request()
    request.source.entry_kind = recommendation_pb2.ENTRY_KIND_MODEL_FILE
    request.source.arguments.append("--width=3")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _create(client, source=request.source)
    refused = Refused(caught.value)
    assert refused.violations.keys() == {"request.source.arguments"}
    assert "takes no command line" in refused.violations["request.source.arguments"]


async def test_a_model_file_cannot_be_observed(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _create(client, observe_only=True)
    assert Refused(caught.value).violations.keys() == {"request.observe_only"}


async def test_a_source_that_was_not_uploaded_is_not_found(client: Client) -> None:
    request = pb.CreateRecommendationRequest(request_id="one", request=advice_request())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.recommendations.CreateRecommendation(request)
    assert Refused(caught.value).code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("entry_path", ["other.py", "../model.py", "/etc/model.py"])
async def test_an_entry_that_is_not_in_the_bundle_is_refused(
    client: Client, entry_path: str
) -> None:
    bundle = make_bundle(model="")
    source = recommendation_pb2.Source(digest=digest_of(bundle), entry_path=entry_path)
    await client.upload(bundle)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _create(client, source=source)
    assert Refused(caught.value).violations.keys() == {"request.source.entry_path"}


async def test_cancel_ends_it_with_the_best_so_far(client: Client, bench: Bench) -> None:
    bench.pool.gate.clear()
    created = await _create(client)
    await bench.pool.entered.wait()
    request = pb.CancelRecommendationRequest(recommendation_id=created.recommendation_id)
    cancelled = (await client.recommendations.CancelRecommendation(request)).recommendation
    assert cancelled.cancel_requested
    await _watch(client, created.recommendation_id)
    get = pb.GetRecommendationRequest(recommendation_id=created.recommendation_id)
    found = (await client.recommendations.GetRecommendation(get)).recommendation
    assert found.state == recommendation_pb2.STATE_CANCELLED


async def test_list_pages_newest_first(client: Client) -> None:
    ids = [(await _create(client, f"r{n}", seed=n)).recommendation_id for n in range(5)]
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListRecommendationsRequest(page_size=2, page_token=token)
        page = await client.recommendations.ListRecommendations(request)
        found += [entry.recommendation_id for entry in page.recommendations]
        if not (token := page.next_page_token):
            break
    assert found == ids[::-1]


@pytest.mark.parametrize(
    "request_message",
    [pb.ListRecommendationsRequest(page_size=-1), pb.ListRecommendationsRequest(page_size=1001)],
)
async def test_a_page_size_out_of_range_is_refused(
    client: Client, request_message: pb.ListRecommendationsRequest
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.recommendations.ListRecommendations(request_message)
    assert Refused(caught.value).violations.keys() == {"page_size"}


async def test_a_page_token_of_another_maker_is_refused(client: Client) -> None:
    request = pb.ListRecommendationsRequest(page_token="mine")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.recommendations.ListRecommendations(request)
    assert Refused(caught.value).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_delete_removes_it(client: Client) -> None:
    created = await _create(client)
    await _watch(client, created.recommendation_id)
    request = pb.DeleteRecommendationRequest(recommendation_id=created.recommendation_id)
    await client.recommendations.DeleteRecommendation(request)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.recommendations.DeleteRecommendation(request)
    assert Refused(caught.value).code is grpc.StatusCode.NOT_FOUND


async def test_delete_of_one_that_runs_is_refused(client: Client, bench: Bench) -> None:
    bench.pool.gate.clear()
    created = await _create(client)
    await bench.pool.entered.wait()
    request = pb.DeleteRecommendationRequest(recommendation_id=created.recommendation_id)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.recommendations.DeleteRecommendation(request)
    assert Refused(caught.value).code is grpc.StatusCode.FAILED_PRECONDITION
    assert Refused(caught.value).info.reason == "ILLEGAL_TRANSITION"


@pytest.mark.parametrize("after", [0, -1])
async def test_watch_of_nothing_is_refused(client: Client, after: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _watch(client, "nothing", after)
    expected = grpc.StatusCode.INVALID_ARGUMENT if after else grpc.StatusCode.NOT_FOUND
    assert Refused(caught.value).code is expected


async def test_watch_ends_unavailable_when_the_daemon_stops(client: Client, bench: Bench) -> None:
    bench.pool.gate.clear()
    created = await _create(client)
    watcher = asyncio.create_task(_watch(client, created.recommendation_id))
    await bench.pool.entered.wait()
    client.application.queue.drain()
    client.application.event_bus.close()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watcher
    assert Refused(caught.value).code is grpc.StatusCode.UNAVAILABLE
    assert Refused(caught.value).info.reason == "DRAINING"


async def test_a_watcher_that_leaves_is_forgotten(client: Client, bench: Bench) -> None:
    bench.pool.gate.clear()
    created = await _create(client)
    request = pb.WatchRecommendationRequest(recommendation_id=created.recommendation_id)
    call = client.recommendations.WatchRecommendation(request)
    await anext(aiter(call))
    subscribers = client.application.event_bus._subscribers
    assert created.recommendation_id in subscribers
    call.cancel()
    await until(lambda: created.recommendation_id not in subscribers)
