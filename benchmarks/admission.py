"""What an honest user feels of silent connections and of many watches: percentiles and ratios.

    python -m benchmarks.admission [--connections 5000] [--watches 5000] [--seconds 15]

A real daemon on TCP. An honest principal reads its devices, one call after the other and over a
connection of its own, first alone, then beside connections that show nothing (half of them with
an HTTP/2 preface; closed ones are opened again), then beside watches as well: as many principals
as needed watch what they have queued, each up to its limit, and one asks for all of them alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import grpc
import psutil
from bsadvise.v1 import (
    device_service_pb2,
    recommendation_pb2,
    source_service_pb2,
    token_service_pb2,
)
from bsadvise.v1 import recommendation_service_pb2 as pb
from bsadvise.v1.device_service_pb2_grpc import DeviceServiceStub
from bsadvise.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from bsadvise.v1.source_service_pb2_grpc import SourceServiceStub
from bsadvise.v1.token_service_pb2_grpc import TokenServiceStub

from benchmarks.service import machine
from tests.support.bundles import digest_of, make_bundle
from tests.support.daemon_process import ready_addresses, start_daemon
from tests.support.showing import owner_channel

Metadata = tuple[tuple[str, str], ...]
Results = dict[str, float]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_BUNDLE = make_bundle(model="import time\ntime.sleep(10**6)")
_WATCHES_OF_ONE = 250
"""Of one principal: just within the daemon's default."""
_WATCHES_OF_A_CONNECTION = 100
_RESULTS = Path(__file__).parent / "results" / "admission.json"
_PAUSE_S = 0.02
"""Between two calls of the honest user."""


def raise_limit() -> None:
    """Let this process open as many connections as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def be_silent(port: int, count: int) -> None:
    """Keep so many connections open that show nothing, for ever."""
    raise_limit()
    held: list[socket.socket] = []
    while True:
        while len(held) < count:
            with contextlib.suppress(OSError):
                one = socket.create_connection(("127.0.0.1", port), timeout=5)
                one.sendall(_PREFACE if len(held) % 2 else b"")
                one.settimeout(0)
                held.append(one)
        time.sleep(0.5)
        held = [one for one in held if _is_open(one)]


def _is_open(one: socket.socket) -> bool:
    try:
        while one.recv(1 << 16):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    one.close()
    return False


def watch(port: int, watched: list[tuple[str, str, int]], held: SimpleQueue[int]) -> None:
    """Hold watches, given as token, recommendation and number, for ever; say how many are held."""
    streams = []
    held_count = 0
    options = (("grpc.use_local_subchannel_pool", 1),)
    for token, recommendation_id, count in watched:
        request = pb.WatchRecommendationRequest(
            recommendation_id=recommendation_id, include_waiting=True
        )
        for begin in range(0, count, _WATCHES_OF_A_CONNECTION):
            channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
            stub = RecommendationServiceStub(channel)
            more = [
                stub.WatchRecommendation(request, metadata=_shown(token))
                for _ in range(min(_WATCHES_OF_A_CONNECTION, count - begin))
            ]
            held_count += sum(map(_is_held, more))
            streams.append((channel, more))
    held.put(held_count)
    time.sleep(10**6)


def _is_held(stream: Iterator[pb.WatchRecommendationResponse]) -> bool:
    try:
        return next(stream, None) is not None
    except grpc.RpcError:
        return False


@contextlib.contextmanager
def loading(target: object, *arguments: object) -> Iterator[BaseProcess]:
    """Load the daemon from a process of its own, until leaving."""
    process = get_context("spawn").Process(target=target, args=arguments, daemon=True)  # type: ignore[arg-type] # a function
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


class House:
    """A daemon, and who calls it."""

    def __init__(self, addresses: list[str]) -> None:
        """Reach a daemon over its socket, as its operator, and over TCP."""
        self.port = int(addresses[1].rpartition(":")[2])
        self._operator = owner_channel(addresses[0])

    def token(self, principal: str) -> str:
        """Return a token of a principal."""
        request = token_service_pb2.CreateTokenRequest(
            principal=principal, scope=token_service_pb2.SCOPE_RUN, life_s=3600.0
        )
        return str(TokenServiceStub(self._operator).CreateToken(request).text)

    def queue(self, token: str) -> str:
        """Queue a recommendation that hangs when it runs."""
        channel, shown = grpc.insecure_channel(f"127.0.0.1:{self.port}"), _shown(token)
        piece = source_service_pb2.UploadSourceRequest(digest=digest_of(_BUNDLE), chunk=_BUNDLE)
        SourceServiceStub(channel).UploadSource(iter((piece,)), metadata=shown)
        source = recommendation_pb2.Source(digest=digest_of(_BUNDLE), entry_path="model.py")
        request = recommendation_pb2.AdviceRequest(source=source, device="cpu", budget_s=600.0)
        create = pb.CreateRecommendationRequest(request_id="one", request=request)
        created = RecommendationServiceStub(channel).CreateRecommendation(create, metadata=shown)
        return str(created.recommendation.recommendation_id)

    def latencies(self, token: str, duration_s: float) -> Results:
        """Return how long calls of one principal take, on a connection of their own."""
        times_s: list[float] = []
        options = (("grpc.use_local_subchannel_pool", 1),)
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", options) as channel:
            stub, end_s = DeviceServiceStub(channel), time.perf_counter() + duration_s
            while time.perf_counter() < end_s:
                begun_s = time.perf_counter()
                stub.ListDevices(
                    device_service_pb2.ListDevicesRequest(), metadata=_shown(token), timeout=30
                )
                times_s.append(time.perf_counter() - begun_s)
                time.sleep(_PAUSE_S)
        begun_s = time.perf_counter()
        DeviceServiceStub(self._operator).ListDevices(device_service_pb2.ListDevicesRequest())
        return {
            "calls": len(times_s),
            "p50_ms": round(1e3 * statistics.median(times_s), 1),
            "p99_ms": round(1e3 * statistics.quantiles(times_s, n=100)[98], 1),
            "operator_ms": round(1e3 * (time.perf_counter() - begun_s), 1),
        }


def _shown(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


def measure(arguments: argparse.Namespace, directory: Path) -> dict[str, Results]:
    """Return the percentiles of an honest user's calls, alone and beside each load."""
    results: dict[str, Results] = {}
    flags = ("--listen", "127.0.0.1:0", "--log-level", "error")
    with start_daemon(directory, *flags) as daemon, contextlib.ExitStack() as loads:
        house = House(ready_addresses(daemon))
        process = psutil.Process(daemon.pid)

        def note(name: str) -> None:
            process.cpu_percent()
            found = house.latencies(honest, arguments.seconds)
            found["cpu_percent"] = process.cpu_percent()
            found["descriptors"] = process.num_fds()
            found["rss_mib"] = process.memory_info().rss >> 20
            results[name] = found

        honest, mallory = house.token("honest"), house.token("mallory")
        principals = -(-arguments.watches // _WATCHES_OF_ONE)
        tokens = [house.token(f"watcher-{number}") for number in range(principals)]
        watched = [(token, house.queue(token), _WATCHES_OF_ONE) for token in tokens]
        greedy = [(mallory, house.queue(mallory), arguments.watches)]
        note("alone")
        loads.enter_context(loading(be_silent, house.port, arguments.connections))
        time.sleep(arguments.calm)
        note("beside connections")
        held: SimpleQueue[int] = get_context("spawn").SimpleQueue()
        for each in (watched, greedy):
            loads.enter_context(loading(watch, house.port, each, held))
        held_count = held.get() + held.get()
        time.sleep(arguments.calm)
        note("beside connections and watches")
        results["beside connections and watches"]["watches_held"] = held_count
    for found in results.values():
        found["p99_ratio"] = round(found["p99_ms"] / results["alone"]["p99_ms"], 2)
    return results


def main() -> None:
    """Measure, print a line for each load, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--watches", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of calls beside each load")
    parser.add_argument(
        "--calm",
        type=float,
        default=20.0,
        help="seconds in which a load comes to rest, more often than connections are closed",
    )
    parser.add_argument("--output", type=Path, default=_RESULTS)
    arguments = parser.parse_args()
    load_average = os.getloadavg()[0]  # Before the loads, which are no other work of the machine.
    with tempfile.TemporaryDirectory() as directory:
        results = measure(arguments, Path(directory))
    for name, found in results.items():
        print(f"{name:<32}", *(f"{key}={value}" for key, value in found.items()))
    content = {
        "machine": machine() | {"load_average_1min": round(load_average, 1)},
        "connections": arguments.connections,
        "watches": arguments.watches,
        "results": results,
    }
    arguments.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
