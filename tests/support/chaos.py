"""Runs daemons over simulated workers, and takes them away at chosen moments."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
from bsadvise.v1 import advice_pb2, recommendation_pb2, source_service_pb2
from bsadvise.v1 import recommendation_service_pb2 as pb
from bsadvise.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from bsadvise.v1.source_service_pb2_grpc import SourceServiceStub

from tests.support.bundles import digest_of, make_bundle
from tests.support.chaos_daemon import FAILPOINTS
from tests.support.daemon_process import EXIT_LIMIT_S, WATCH_LIMIT_S, ready_addresses
from tests.support.showing import owner_channel
from tests.support.simulated_worker import HELD, HOLD

BUNDLE = make_bundle(model="def build_model(): ...")
_MARK = "PYTORCH_BSADVISE_CHAOS"
"""A variable that daemons hand on to their workers, so that a test finds all that it started."""

_POLL_S = 0.02


class Chaos:
    """One state directory, and the daemons that come and go on it.

    Attributes:
        directory: Of the daemons' sockets and their state.
        clock_path: Holds the seconds by which their clocks are wrong.
        database: URL of the database; None for an SQLite file in the state directory.
    """

    def __init__(self, directory: Path, database: str | None = None) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.database = database
        self.clock_path = directory / "clock"
        self.clock_path.write_text("0")
        self._mark = uuid.uuid4().hex
        self._hold_prefix = f"{directory}/hold-"

    @contextmanager
    def daemon(
        self, name: str = "one", *more_flags: str, failpoints: int | None = None
    ) -> Iterator[Daemon]:
        """Start a daemon; kill it on leaving, where it still runs.

        Args:
            name: Of its socket.
            more_flags: Of its command line.
            failpoints: Cleaning and compaction fail, but for each such call; None for never.
        """
        command = [sys.executable, "-m", "tests.support.chaos_daemon", str(self.clock_path)]
        flags = [
            "--socket",
            str(self.directory / f"{name}.sock"),
            "--lease-s",
            "10",
            "--log-level",
            "error",
        ]
        if self.database is not None:
            flags += ["--database", self.database]
        process = subprocess.Popen(
            [*command, *flags, "--state-dir", str(self.state_dir), *more_flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {_MARK: self._mark, HOLD: self._hold_prefix}
            | ({FAILPOINTS: str(failpoints)} if failpoints else {}),
        )
        with process, ExitStack() as stack:
            stack.callback(process.kill)
            addresses = ready_addresses(process)
            channel = stack.enter_context(owner_channel(addresses[0]))
            yield Daemon(process, channel, addresses)

    def processes(self) -> list[psutil.Process]:
        """Return every process that was started here, and what that has started."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self._mark and process.status() != "zombie":
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def wait_for_no_process(self) -> list[psutil.Process]:
        """Return what has not ended in time."""
        _, alive = psutil.wait_procs(self.processes(), timeout=EXIT_LIMIT_S)
        return alive

    @contextmanager
    def holding(self, command: str) -> Iterator[None]:
        """Let workers stop in commands of a class, until leaving."""
        hold = Path(f"{self._hold_prefix}{command}")
        hold.touch()
        yield
        hold.unlink()

    def wait_for_nothing_left(self) -> None:
        """Return once all that is out of use has been removed."""
        ends_at_s = time.monotonic() + EXIT_LIMIT_S
        while left := list(self.state_dir.glob("removed/*")):
            assert time.monotonic() < ends_at_s, left
            time.sleep(_POLL_S)

    def wait_for_held_worker(self) -> None:
        """Return once a worker has stopped in such a command."""
        ends_at_s = time.monotonic() + EXIT_LIMIT_S
        while not any(self.state_dir.rglob(HELD)):
            assert time.monotonic() < ends_at_s, "no worker has come to such a command"
            time.sleep(_POLL_S)

    def jump(self, duration_s: float) -> None:
        """Set every daemon's clock."""
        self.clock_path.write_text(str(duration_s))


class Daemon:
    """A running daemon and what a client needs of it.

    Attributes:
        process: The daemon.
        channel: To it.
        addresses: Where it listens, the socket first.
    """

    def __init__(
        self, process: subprocess.Popen[str], channel: grpc.Channel, addresses: list[str]
    ) -> None:
        self.process = process
        self.channel = channel
        self.addresses = addresses
        self._recommendations = RecommendationServiceStub(channel)
        self._sources = SourceServiceStub(channel)

    def create(self, name: str, **changes: Any) -> str:
        """Ask for a recommendation that is never answered from the cache."""
        piece = source_service_pb2.UploadSourceRequest(digest=digest_of(BUNDLE), chunk=BUNDLE)
        self._sources.UploadSource(iter((piece,)), timeout=EXIT_LIMIT_S)
        fields: dict[str, Any] = {
            "source": recommendation_pb2.Source(digest=digest_of(BUNDLE), entry_path="model.py"),
            "device": "cpu",
            "memory_limit_bytes": 256 << 20,
            "budget_s": 60.0,
            "max_trials": 3,
            "use_cache": False,
        }
        response = self._recommendations.CreateRecommendation(
            pb.CreateRecommendationRequest(
                request_id=name, request=recommendation_pb2.AdviceRequest(**fields | changes)
            ),
            timeout=EXIT_LIMIT_S,
        )
        return response.recommendation.recommendation_id

    def watch(
        self, recommendation_id: str, after_sequence: int = 0
    ) -> Iterator[recommendation_pb2.Event]:
        """Yield the events of a recommendation to its end."""
        request = pb.WatchRecommendationRequest(
            recommendation_id=recommendation_id, after_sequence=after_sequence
        )
        for response in self._recommendations.WatchRecommendation(request, timeout=WATCH_LIMIT_S):
            yield response.event

    def stop(self) -> None:
        """Tell it to stop, where it still runs, and wait for its end."""
        self.process.terminate()
        self.process.wait(EXIT_LIMIT_S)

    def children(self) -> list[psutil.Process]:
        """Return the fork server and its workers, parents first."""
        return psutil.Process(self.process.pid).children(recursive=True)


def ending_of(events: list[recommendation_pb2.Event]) -> advice_pb2.Advice:
    """Return the advice with which a recommendation has ended."""
    ending = events[-1].happening.state_changed
    assert ending.state == recommendation_pb2.STATE_SUCCEEDED, ending
    return ending.advice
