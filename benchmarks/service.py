"""Performance of the daemon: latency, watchers, a long queue, memory.

    python benchmarks/service.py [--watchers 1000] [--queued 10000] [--output FILE.json]

A real daemon with its real SQLite file; only its workers are simulated. Optuna's gRPC storage proxy
on SQLite is measured for comparison, in calls that do similar work: reading one row, writing one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psutil
from bsadvise.v1 import recommendation_pb2, source_service_pb2, token_service_pb2
from bsadvise.v1 import recommendation_service_pb2 as pb
from bsadvise.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from bsadvise.v1.source_service_pb2_grpc import SourceServiceStub
from bsadvise.v1.token_service_pb2_grpc import TokenServiceStub
from sqlalchemy import Connection

sys.path.insert(0, str(Path(__file__).parents[1]))

from advisor.domain.access import NO_LIMITS
from advisor.store.opening import open_store
from advisor.store.recommendations import insert_new
from advisor.wiring import SystemClock
from tests.support.builders import a_recommendation
from tests.support.bundles import digest_of
from tests.support.certificates import Authority
from tests.support.chaos import BUNDLE, Chaos, Daemon
from tests.support.showing import secret_of, showing

if TYPE_CHECKING:
    from bsadvise.v1.recommendation_service_pb2_grpc import RecommendationServiceAsyncStub

Results = dict[str, float]
Metadata = tuple[tuple[str, str], ...]


def milliseconds(times_s: list[float]) -> Results:
    """Return the median and the 99th percentile."""
    return {
        "p50_ms": round(statistics.median(times_s) * 1e3, 3),
        "p99_ms": round(statistics.quantiles(times_s, n=100)[98] * 1e3, 3),
    }


async def timed(call: Callable[[], Awaitable[Any]], count: int) -> list[float]:
    """Return the seconds of each of so many calls, one after the other."""
    times_s = []
    for _ in range(count):
        begun_s = time.perf_counter()
        await call()
        times_s.append(time.perf_counter() - begun_s)
    return times_s


async def measure_unary(stub: RecommendationServiceAsyncStub, recommendation_id: str) -> Results:
    """Read one recommendation repeatedly, sequentially and with sixteen concurrent calls."""

    async def get() -> None:
        await stub.GetRecommendation(
            pb.GetRecommendationRequest(recommendation_id=recommendation_id)
        )

    await timed(get, 100)
    alone = milliseconds(await timed(get, 1000))
    begun_s = time.perf_counter()
    await asyncio.gather(*(timed(get, 250) for _ in range(16)))
    return alone | {"calls_per_s": round(16 * 250 / (time.perf_counter() - begun_s))}


async def measure_cached(stub: RecommendationServiceAsyncStub, metadata: Metadata = ()) -> Results:
    """Request a cached answer: each creates a resource, written before the response."""
    numbers = iter(range(10**6))

    async def create() -> None:
        response = await stub.CreateRecommendation(
            pb.CreateRecommendationRequest(
                request_id=f"cached-{next(numbers)}", request=_request(use_cache=True)
            ),
            metadata=metadata,
        )
        if response.recommendation.state != recommendation_pb2.STATE_SUCCEEDED:
            raise RuntimeError("the answer was not remembered")

    await timed(create, 5)
    return milliseconds(await timed(create, 200))


async def measure_cached_over_tls(daemon: Daemon, authority: Authority) -> Results:
    """The same over TLS on loopback, with a token."""
    token = TokenServiceStub(daemon.channel).CreateToken(
        token_service_pb2.CreateTokenRequest(
            principal="alice", scope=token_service_pb2.SCOPE_RUN, life_s=3600.0
        )
    )
    metadata = (("authorization", f"Bearer {token.text}"),)
    trusted = grpc.ssl_channel_credentials(authority.cert.read_bytes())
    async with grpc.aio.secure_channel(daemon.addresses[1], trusted) as channel:
        piece = source_service_pb2.UploadSourceRequest(digest=digest_of(BUNDLE), chunk=BUNDLE)
        await SourceServiceStub(channel).UploadSource(iter((piece,)), metadata=metadata)
        stub = RecommendationServiceStub(channel)
        first = await stub.CreateRecommendation(
            pb.CreateRecommendationRequest(request_id="first", request=_request(use_cache=True)),
            metadata=metadata,
        )
        recommendation_id = first.recommendation.recommendation_id
        watched = pb.WatchRecommendationRequest(recommendation_id=recommendation_id)
        async for _ in stub.WatchRecommendation(watched, metadata=metadata):
            pass
        return await measure_cached(stub, metadata)


async def measure_watchers(address: str, daemon: Daemon, count: int) -> Results:
    """Watch one recommendation with many clients, from its creation to its end."""
    channels = [_owner_channel(address) for _ in range(max(1, count // 100))]
    recommendation_id = await asyncio.to_thread(daemon.create, "watched")
    begun_s = time.perf_counter()

    async def watch(channel: grpc.aio.Channel) -> list[int]:
        stream = RecommendationServiceStub(channel).WatchRecommendation(
            pb.WatchRecommendationRequest(recommendation_id=recommendation_id)
        )
        return [response.event.sequence async for response in stream]

    received = await asyncio.gather(*(watch(channels[n % len(channels)]) for n in range(count)))
    wall_s = time.perf_counter() - begun_s
    for channel in channels:
        await channel.close()
    expected = list(range(1, len(received[0]) + 1))
    return {
        "watchers": count,
        "events": len(expected),
        "complete_and_in_order": sum(sequences == expected for sequences in received),
        "wall_s": round(wall_s, 2),
        "events_per_s": round(count * len(expected) / wall_s),
    }


async def measure_list(stub: RecommendationServiceAsyncStub, queued: int) -> Results:
    """Read the first page of a long queue."""

    async def first_page() -> None:
        page = await stub.ListRecommendations(pb.ListRecommendationsRequest(page_size=50))
        if len(page.recommendations) != 50:
            raise RuntimeError("the page is short")

    await timed(first_page, 5)
    return {"queued": queued} | milliseconds(await timed(first_page, 200))


async def fill(path: Path, count: int) -> None:
    """Queue recommendations for another host, so that they stay queued."""
    store = open_store(path, clock=SystemClock(), is_owner_dead=lambda _: False, host="elsewhere")
    base = a_recommendation()

    def insert(connection: Connection) -> None:
        for number in range(count):
            name = f"queued-{number}"
            queued = replace(base, recommendation_id=name, request_id=name)
            insert_new(connection, queued, ("cpu",), "elsewhere", NO_LIMITS, time.time())

    await store._database.write(insert)  # noqa: SLF001 - one commit, not ten thousand
    await store.close()


def _owner_channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, interceptors=showing(secret_of(address)))


def _request(**changes: object) -> recommendation_pb2.AdviceRequest:
    fields: dict[str, Any] = {
        "source": recommendation_pb2.Source(digest=digest_of(BUNDLE), entry_path="model.py"),
        "device": "cpu",
        "memory_limit_bytes": 256 << 20,
        "budget_s": 60.0,
        "max_trials": 3,
    }
    return recommendation_pb2.AdviceRequest(**fields | changes)


async def measure_daemon(arguments: argparse.Namespace, directory: Path) -> dict[str, Results]:
    """Return every figure of one daemon."""
    chaos = Chaos(directory)
    chaos.state_dir.mkdir()
    await fill(chaos.state_dir / "bsadvise.db", arguments.queued)
    results: dict[str, Results] = {}
    authority = Authority(directory)
    own = authority.sign("localhost")
    listen = ("--listen", "127.0.0.1:0", "--tls-cert", str(own.cert), "--tls-key", str(own.key))
    with chaos.daemon("one", *listen) as daemon:
        address = f"unix:{directory / 'one.sock'}"
        process = psutil.Process(daemon.process.pid)
        idle_bytes = process.memory_info().rss
        recommendation_id = await asyncio.to_thread(daemon.create, "first", use_cache=True)
        await asyncio.to_thread(lambda: list(daemon.watch(recommendation_id)))
        async with _owner_channel(address) as channel:
            stub = RecommendationServiceStub(channel)
            results["read one"] = await measure_unary(stub, recommendation_id)
            results["cached answer"] = await measure_cached(stub)
            results["cached answer, TLS and token"] = await measure_cached_over_tls(
                daemon, authority
            )
            results["first page of the queue"] = await measure_list(stub, arguments.queued)
        results["watch one job"] = await measure_watchers(address, daemon, arguments.watchers)
        results["memory"] = {
            "daemon_idle_mib": round(idle_bytes / 2**20, 1),
            "daemon_after_mib": round(process.memory_info().rss / 2**20, 1),
            "client_mib": round(psutil.Process().memory_info().rss / 2**20, 1),
        }
    return results


def _serve_optuna(path: str, port: int) -> None:
    import optuna  # noqa: PLC0415 - in the server's process alone

    optuna.storages.run_grpc_proxy_server(
        optuna.storages.RDBStorage(f"sqlite:///{path}"), host="localhost", port=port
    )


async def measure_optuna(directory: Path) -> dict[str, Results]:
    """Return the figures of Optuna's gRPC storage proxy."""
    import optuna  # noqa: PLC0415 - slow, and not needed for the rest

    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    context = get_context("spawn")
    server = context.Process(target=_serve_optuna, args=(str(directory / "optuna.db"), port))
    server.start()
    try:
        storage = optuna.storages.GrpcStorageProxy(host="localhost", port=port)
        storage.wait_server_ready(timeout=60)
        study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "study")

        async def read() -> None:
            storage.get_study_name_from_id(study_id)

        async def write() -> None:
            storage.create_new_trial(study_id)

        await timed(read, 20)
        return {
            "Optuna's proxy: read one": milliseconds(await timed(read, 500)),
            "Optuna's proxy: write one": milliseconds(await timed(write, 100)),
        }
    finally:
        server.terminate()
        server.join()


def machine() -> dict[str, Any]:
    """Return what the figures were measured on; no names of hosts or places."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "grpcio": grpc.__version__,
    }


def main() -> None:
    """Measure, print a table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--queued", type=int, default=10_000)
    default = Path(__file__).parent / "results" / "service.json"
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        results = asyncio.run(measure_daemon(arguments, Path(directory)))
        results |= asyncio.run(measure_optuna(Path(directory)))
    for name, figures in results.items():
        print(f"{name:<28}", *(f"{key}={value}" for key, value in figures.items()))
    arguments.output.parent.mkdir(exist_ok=True)
    content = {"machine": machine(), "results": results}
    arguments.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
