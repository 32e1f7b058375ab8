"""Sources, estimates, devices, health and reflection over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from bsadvise.model.measurements import Failed, FaultCode
from bsadvise.model.recommendation import LOCAL
from bsadvise.v1 import (
    device_pb2,
    device_service_pb2,
    memory_service_pb2,
    recommendation_pb2,
    source_service_pb2,
)
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from advisor.application import bundles
from advisor.service.server import SERVICE_NAMES
from tests.support.bench import BUNDLE, Bench, until
from tests.support.builders import a_fault
from tests.support.bundles import digest_of, make_bundle, raw_bundle
from tests.support.fake_inventory import FakeInventory, make_gpu
from tests.support.fake_worker_pool import FakeWorkerPool
from tests.support.server import Client, Refused, advice_request, serving


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state", inventory=FakeInventory(make_gpu()))


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[Client]:
    async with serving(bench) as client:
        yield client


async def test_an_uploaded_bundle_is_there(client: Client) -> None:
    request = source_service_pb2.CheckSourceRequest(digest=digest_of(BUNDLE))
    assert not (await client.sources.CheckSource(request)).exists
    assert await client.upload() == digest_of(BUNDLE)
    assert (await client.sources.CheckSource(request)).exists
    assert await client.upload() == digest_of(BUNDLE)  # a second time is no error


async def test_a_digest_of_another_form_is_refused(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.sources.CheckSource(source_service_pb2.CheckSourceRequest(digest="X"))
    assert Refused(caught.value).violations.keys() == {"digest"}


async def test_an_empty_upload_is_refused(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.sources.UploadSource(iter(()))
    assert Refused(caught.value).violations.keys() == {"digest"}


async def test_an_upload_under_another_digest_is_refused(client: Client, bench: Bench) -> None:
    digest = digest_of(b"something else")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.upload(digest=digest)
    assert Refused(caught.value).code is grpc.StatusCode.INVALID_ARGUMENT
    assert Refused(caught.value).info.reason == "SOURCE_REJECTED"
    assert not await bench.store.has_source(digest, principal=LOCAL)


@pytest.mark.parametrize(
    "bundle",
    [
        b"\xff\xff not a bundle",
        raw_bundle(("../model.py", b"")),
        raw_bundle(("/etc/model.py", b"")),
        raw_bundle(("a/../../model.py", b"")),
        raw_bundle(("a//model.py", b"")),
        raw_bundle(("./model.py", b"")),
        raw_bundle(("", b"")),
        raw_bundle(("a\\model.py", b"")),
        raw_bundle(("model.py\x00.txt", b"")),
        raw_bundle(("x" * 256, b"")),
        raw_bundle(("model.py", b"1"), ("model.py", b"2")),
        raw_bundle(("model.py", b"1"), ("model.py/inner.py", b"2")),
    ],
)
async def test_a_bad_bundle_is_refused(client: Client, bench: Bench, bundle: bytes) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.upload(bundle)
    assert Refused(caught.value).code is grpc.StatusCode.INVALID_ARGUMENT
    assert Refused(caught.value).info.reason == "SOURCE_REJECTED"
    assert not await bench.store.has_source(digest_of(bundle), principal=LOCAL)


async def test_a_bundle_that_is_too_large_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "MAX_BUNDLE_BYTES", len(BUNDLE) - 1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.upload()
    assert "larger than" in Refused(caught.value).sentence


async def test_estimate_answers_what_fits(client: Client, bench: Bench) -> None:
    await client.upload()
    request = memory_service_pb2.EstimateMemoryRequest(
        request=advice_request(device="a100-80gb", memory_limit_bytes=1 << 30)
    )
    estimate = (await client.memory.EstimateMemory(request)).estimate
    assert estimate.budget_bytes == 1 << 30
    assert estimate.points[0].peak_bytes == 1000
    (job,) = bench.pool.jobs
    assert not job.device.present
    assert not job.checkpoint_dir.exists()
    assert bench.pool.open_session_count == 0


async def test_estimate_names_what_is_wrong(client: Client) -> None:
    request = memory_service_pb2.EstimateMemoryRequest(request=advice_request(device="cuda:9"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.memory.EstimateMemory(request)
    assert Refused(caught.value).violations.keys() == {"request.device"}


async def test_a_script_is_not_estimated(client: Client) -> None:
    request = memory_service_pb2.EstimateMemoryRequest(request=advice_request())
    request.request.source.entry_kind = recommendation_pb2.ENTRY_KIND_SCRIPT
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.memory.EstimateMemory(request)
    refused = Refused(caught.value)
    assert refused.violations.keys() == {"request.source.entry_kind"}
    assert "ask for a recommendation" in refused.violations["request.source.entry_kind"]


async def test_estimate_of_a_source_that_is_not_here_is_not_found(client: Client) -> None:
    request = memory_service_pb2.EstimateMemoryRequest(request=advice_request())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.memory.EstimateMemory(request)
    assert Refused(caught.value).code is grpc.StatusCode.NOT_FOUND


async def test_estimate_says_where_the_model_file_is_wrong(bench: Bench) -> None:
    fault = a_fault(code=FaultCode.MODEL_FILE, message="There is no loss.", fix="Define loss_fn.")
    bench.pool = FakeWorkerPool(lambda *_: Failed(fault=fault))
    async with serving(bench) as client:
        await client.upload()
        request = memory_service_pb2.EstimateMemoryRequest(request=advice_request())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.memory.EstimateMemory(request)
    refused = Refused(caught.value)
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.info.reason == "MODEL_FILE"
    assert dict(refused.info.metadata) == {
        "code": "model_file",
        "message": "There is no loss.",
        "hook": "build_model",
        "file": "model.py",
        "line": "3",
        "fix": "Define loss_fn.",
    }
    assert refused.sentence == str(fault)


async def test_an_estimate_ends_when_its_client_cancels(client: Client, bench: Bench) -> None:
    await client.upload()
    bench.pool.gate.clear()
    request = memory_service_pb2.EstimateMemoryRequest(request=advice_request())
    call = client.memory.EstimateMemory(request)
    waiting = asyncio.ensure_future(call)
    await bench.pool.entered.wait()
    call.cancel()
    with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
        await waiting
    await until(lambda: not bench.pool.open_session_count)
    assert len(bench.pool.cancelled_commands) == 1


async def test_an_estimate_ends_at_its_client_s_deadline(client: Client, bench: Bench) -> None:
    await client.upload()
    bench.pool.gate.clear()
    request = memory_service_pb2.EstimateMemoryRequest(request=advice_request())
    for limit_s in (0.5, 2.0, 8.0, 32.0):  # a slow machine comes late to the command
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.memory.EstimateMemory(request, timeout=limit_s)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: not bench.pool.open_session_count)
        if bench.pool.commands:
            break
    assert len(bench.pool.cancelled_commands) == len(bench.pool.commands) == 1


async def test_list_devices(client: Client) -> None:
    response = await client.devices.ListDevices(device_service_pb2.ListDevicesRequest())
    kinds = [device.kind for device in response.devices]
    assert kinds == [device_pb2.DEVICE_KIND_CUDA, device_pb2.DEVICE_KIND_CPU]
    assert response.devices[0].total_bytes == 80 << 30


async def test_an_oversized_message_is_refused(client: Client) -> None:
    piece = source_service_pb2.UploadSourceRequest(digest="0" * 64, chunk=bytes(3 << 20))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.sources.UploadSource(iter((piece,)))
    assert Refused(caught.value).code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await client.upload(make_bundle(model="still serving"))


@pytest.mark.parametrize("service_name", ["", *SERVICE_NAMES])
async def test_every_service_is_healthy(client: Client, service_name: str) -> None:
    check = client.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    response = await check(health_pb2.HealthCheckRequest(service=service_name))
    assert response.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_and_describes_the_services(client: Client) -> None:
    reflect = client.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = (
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="bsadvise.v1.RecommendationService"
        ),
    )
    listed, described = [response async for response in reflect(iter(requests))]
    names = {service.name for service in listed.list_services_response.service}
    assert names >= set(SERVICE_NAMES)
    (serialized, *_) = described.file_descriptor_response.file_descriptor_proto
    file = FileDescriptorProto.FromString(serialized)
    assert file.name == "bsadvise/v1/recommendation_service.proto"
