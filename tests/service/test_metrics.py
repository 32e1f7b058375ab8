"""What Prometheus is told is true, and the alerts ask for nothing that it is not told."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import structlog
import yaml
from bsadvise.model.measurements import OutOfMemory
from bsadvise.model.recommendation import State
from bsadvise.v1 import recommendation_service_pb2 as pb
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from advisor.service import exporter as exporter_module
from advisor.service.address import AddressRefused
from advisor.service.call_log import REQUEST_ID_KEY
from advisor.service.exporter import Exporter
from advisor.service.metrics import Metrics
from tests.support.bench import Bench, create, end_of, until
from tests.support.builders import a_measurement
from tests.support.scripted_planner import SCRIPT
from tests.support.server import serving

RULES = Path(__file__).parents[2] / "deploy" / "prometheus-rules.yaml"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)
METHOD = "/bsadvise.v1.RecommendationService/GetRecommendation"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state")


def value(bench: Bench, name: str, **labels: str) -> float | None:
    return bench.telemetry.registry.get_sample_value(f"bsadvise_{name}", labels)


async def test_a_run_is_counted(bench: Bench) -> None:
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        bench.clock.advance(3)
        await end_of(application, created)
    assert value(bench, "runs_total", state="succeeded") == 1
    assert value(bench, "measurements_total", command="train", outcome="train_run") == 1
    assert value(bench, "command_duration_seconds_count", stage="reference") == 1
    assert value(bench, "queue_wait_seconds_count") == 1
    assert value(bench, "device_busy", device="cpu") == 0
    assert len(bench.pool.commands) == len(SCRIPT)


async def test_a_device_is_busy_while_it_is_leased(bench: Bench) -> None:
    bench.pool.gate.clear()
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await bench.pool.entered.wait()
        bench.clock.advance(2)
        assert value(bench, "device_busy", device="cpu") == 1
        assert value(bench, "device_busy_seconds_total", device="cpu") == 2
        bench.pool.gate.set()
        await end_of(application, created)
    bench.clock.advance(5)
    assert value(bench, "device_busy_seconds_total", device="cpu") == 2


@pytest.mark.parametrize(("is_host", "where"), [(True, "host"), (False, "device")])
def test_out_of_memory_is_counted_by_where(bench: Bench, *, is_host: bool, where: str) -> None:
    outcome = OutOfMemory(message="no room", is_host=is_host)
    bench.telemetry.measured(a_measurement(outcome=outcome))
    assert value(bench, "out_of_memory_total", where=where) == 1


async def test_calls_are_counted_by_their_end_and_carry_an_id(bench: Bench) -> None:
    async with serving(bench) as client:
        request = pb.GetRecommendationRequest(recommendation_id="none")
        with structlog.testing.capture_logs(
            processors=[structlog.contextvars.merge_contextvars]
        ) as lines:
            call = client.recommendations.GetRecommendation(
                request, metadata=((REQUEST_ID_KEY, "mine-1"),)
            )
            with pytest.raises(grpc.aio.AioRpcError):
                await call
            forged = client.recommendations.GetRecommendation(
                request, metadata=((REQUEST_ID_KEY, "not one of ours"),)
            )
            with pytest.raises(grpc.aio.AioRpcError):
                await forged
        listed = client.recommendations.ListRecommendations(pb.ListRecommendationsRequest())
        await listed
        assert dict(await call.initial_metadata() or ())[REQUEST_ID_KEY] == "mine-1"
        assert len(str(dict(await listed.initial_metadata() or ())[REQUEST_ID_KEY])) == 32
    mine = [line for line in lines if line.get("request_id") == "mine-1"]
    assert {line["event"] for line in mine} == {"rpc refused", "rpc ended"}
    assert {line["method"] for line in mine} == {METHOD}
    assert not any("ours" in str(line) for line in lines)
    assert value(bench, "rpcs_total", method=METHOD, code="NOT_FOUND") == 2
    assert value(bench, "rpc_duration_seconds_count", method=METHOD) == 2


async def scrape(port: int) -> str:
    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(read)


@pytest.fixture
async def exporter() -> AsyncIterator[Exporter]:
    exporter = Exporter(Metrics(lambda: 0.0), "127.0.0.1:0")
    await exporter.start()
    yield exporter
    exporter.stop()


async def test_prometheus_is_answered_until_it_is_told_to_stop(exporter: Exporter) -> None:
    port = exporter.port
    families = {f.name for f in text_string_to_metric_families(await scrape(port))}
    assert {"bsadvise_build_info", "bsadvise_rpcs"} <= families
    with pytest.raises(AddressRefused, match="cannot listen"):
        await Exporter(Metrics(lambda: 0.0), f"127.0.0.1:{port}").start()
    exporter.stop()
    exporter.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_half_requests_take_no_threads_and_keep_nobody_from_an_answer(
    exporter: Exporter,
) -> None:
    before = threading.active_count()
    halves = []
    for _ in range(3 * exporter_module._MAX_CONNECTIONS):
        halves.append(await asyncio.open_connection("127.0.0.1", exporter.port))
        halves[-1][1].write(b"GET /metrics HTTP/1.1\r\n")
    await until(lambda: len(exporter._open) == exporter_module._MAX_CONNECTIONS)
    assert threading.active_count() <= before  # One of an earlier test may have ended.
    assert "bsadvise_build_info" in await scrape(exporter.port)
    assert await halves[0][0].read() == b""  # the oldest was closed
    for _, writer in halves:
        writer.close()


async def test_a_request_that_does_not_end_is_ended(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter_module, "_REQUEST_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", exporter.port)
    writer.write(b"GET /metrics HTTP/1.1\r\n")
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert not exporter._open


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", b"HTTP/1.1 405"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (9 << 10), b""),
        (b"\xff" * 100 + b"\r\n\r\n", b"HTTP/1.1 405"),
    ],
)
async def test_other_requests_are_refused(
    exporter: Exporter, request_bytes: bytes, answer: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", exporter.port)
    writer.write(request_bytes)
    found = b""
    with contextlib.suppress(ConnectionError):
        found = await reader.read()
    assert found.startswith(answer)
    writer.close()


def alert_rules() -> list[dict[str, str]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics of which each has counted something."""
    metrics = Metrics(lambda: 0.0)
    metrics.leased(["cpu"], waited_s=1.0)
    metrics.released(["cpu"], State.SUCCEEDED)
    metrics.measured(a_measurement(outcome=OutOfMemory(message="no room")))
    metrics.removed("sources", 1)
    metrics.rpcs.labels("m", "OK").inc()
    metrics.rpc_duration.labels("m").observe(1.0)
    metrics.unfinished.labels("queued").set(1)
    metrics.failed("queue")
    metrics.task_failing.labels("queue").set(1)
    return metrics


def test_the_alerts_ask_for_metrics_that_there_are(metrics: Metrics) -> None:
    known = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    asked = {name for rule in alert_rules() for name in re.findall(r"bsadvise_\w+", rule["expr"])}
    assert asked
    assert asked <= known


def test_every_alert_is_explained() -> None:
    manual = (RULES.parents[1] / "docs" / "operations.md").read_text()
    for rule in alert_rules():
        assert f"`{rule['alert']}`" in manual


@needs_promtool
def test_promtool_takes_the_alerts() -> None:
    subprocess.run(["promtool", "check", "rules", str(RULES)], check=True)


@needs_promtool
def test_promtool_takes_the_metrics(metrics: Metrics) -> None:
    text = generate_latest(metrics.registry)
    found = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
