"""Spans tell what a call led to, and belong to the trace of who called; or there are none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import bsadvise
import pytest
from bsadvise.v1.device_service_pb2 import ListDevicesRequest

from advisor.service.metrics import Metrics
from advisor.service.tracing import OpenTelemetry, Tracing, TracingRefused, open_tracing
from tests.support.bench import Bench
from tests.support.scripted_planner import SCRIPT
from tests.support.server import serving

pytest.importorskip("opentelemetry.sdk", reason="needs the package opentelemetry-sdk")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

CREATE = "bsadvise.v1.RecommendationService/CreateRecommendation"
ESTIMATE = "bsadvise.v1.MemoryService/EstimateMemory"
TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def bench(tmp_path: Path, exporter: InMemorySpanExporter) -> Bench:
    bench = Bench(tmp_path / "state")
    tracing = OpenTelemetry(SimpleSpanProcessor(exporter))
    bench.telemetry = Metrics(bench.clock.monotonic_s, tracing)
    return bench


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text("def build_model(): ...\n")
    return path


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def parent_id(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    span_id: int = span.context.span_id
    return span_id


async def test_a_recommendation_is_one_trace_from_the_caller_to_the_worker(
    bench: Bench, exporter: InMemorySpanExporter, model_path: Path
) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("a training script")
    async with serving(bench) as server, bsadvise.AsyncClient(server.address) as client:
        with tracer.start_as_current_span("sweep") as own:
            created = await client.create_recommendation(model_path, device="cpu")
        async for _ in client.watch(created.recommendation_id):
            pass
    spans = by_name(exporter)
    call, run = spans[CREATE], spans["recommendation"]
    assert parent_id(call) == own.get_span_context().span_id
    assert call.kind is SpanKind.SERVER
    assert call.attributes is not None
    assert call.attributes["rpc.grpc.status_code"] == "OK"
    assert parent_id(run) == id_of(call)
    commands = [s for s in exporter.get_finished_spans() if parent_id(s) == id_of(run)]
    assert len(commands) == len(SCRIPT)
    for command in commands:
        assert command.context is not None
        assert command.context.trace_id == own.get_span_context().trace_id
        assert command.attributes is not None
        assert command.attributes["bsadvise.recommendation_id"] == created.recommendation_id
    train = spans["train"].attributes
    assert train is not None
    assert (train["bsadvise.stage"], train["bsadvise.outcome"]) == ("reference", "train_run")
    # What is asked for outside of the caller's span is a trace of its own.
    assert spans["bsadvise.v1.RecommendationService/WatchRecommendation"].parent is None


async def test_a_call_that_is_refused_says_so(bench: Bench, exporter: InMemorySpanExporter) -> None:
    async with serving(bench) as server, bsadvise.AsyncClient(server.address) as client:
        with pytest.raises(bsadvise.NotFound):
            await client.get("none")
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["rpc.grpc.status_code"] == "NOT_FOUND"


async def test_an_estimate_s_commands_belong_to_its_call(
    bench: Bench, exporter: InMemorySpanExporter, model_path: Path
) -> None:
    async with serving(bench) as server, bsadvise.AsyncClient(server.address) as client:
        await client.estimate_memory(model_path, device="cpu")
    call = by_name(exporter)[ESTIMATE]
    commands = [s for s in exporter.get_finished_spans() if parent_id(s) == id_of(call)]
    assert len(commands) == len(bench.pool.commands) > 0
    for command in commands:
        assert command.attributes is not None
        assert "bsadvise.outcome" in command.attributes


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_a_place_that_is_none_begins_a_trace(
    bench: Bench, exporter: InMemorySpanExporter, header: str
) -> None:
    async with serving(bench) as server:
        list_devices, request = server.devices.ListDevices, ListDevicesRequest()
        await list_devices(request, metadata=(("traceparent", header),))
        good = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
        await list_devices(request, metadata=(("traceparent", good),))
    began, followed = exporter.get_finished_spans()
    assert began.parent is None
    assert parent_id(followed) == SPAN_ID
    assert followed.context is not None
    assert followed.context.trace_id == TRACE_ID


class _Collector(BaseHTTPRequestHandler):
    """Notes what is sent to it."""

    received: Queue[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.put((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[tuple[str, Queue[tuple[str, bytes]]]]:
    received: Queue[tuple[str, bytes]] = Queue()
    handler = type("Handler", (_Collector,), {"received": received})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_spans_reach_a_collector_before_the_daemon_ends(
    collector: tuple[str, Queue[tuple[str, bytes]]],
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    endpoint, received = collector
    tracing = open_tracing(endpoint, {})
    with tracing.span("command", {"stage": "memory"}) as note:
        note("outcome", "estimated")
    tracing.close()
    path, body = received.get(timeout=30)
    assert path == "/v1/traces"
    assert all(word in body for word in (b"bsadvise", b"command", b"estimated"))


def test_nothing_is_imported_unless_it_is_asked_for(tmp_path: Path) -> None:
    program = """import sys, advisor.wiring as w, bsadvise
from bsadvise.transport.tracing import trace_metadata
assert trace_metadata() == ()
assert type(w.open_tracing(None, {})) is w.open_tracing.__globals__["Tracing"]
assert not [name for name in sys.modules if name.startswith("opentelemetry")]"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=60)


def test_what_cannot_be_traced_is_refused_only_where_we_were_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracingRefused, match=r"bsadvise\[otel\]"):
        open_tracing("http://localhost:4318", {})
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
    assert type(open_tracing(None, variables)) is Tracing


def test_the_variables_of_opentelemetry_are_heeded() -> None:
    disabled = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}
    assert type(open_tracing(None, disabled)) is Tracing
