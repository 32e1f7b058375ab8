"""Daemons that share a PostgreSQL outlive its restart, and one of them the other's death."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from bsadvise.v1 import recommendation_pb2

from tests.support.chaos import Chaos, Daemon, ending_of
from tests.support.invariants import find_violations
from tests.support.postgres import Postgres, postgres_server


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def chaos(tmp_path: Path, postgres: Postgres) -> Iterator[Chaos]:
    chaos = Chaos(tmp_path, postgres.make_database())
    yield chaos
    assert chaos.wait_for_no_process() == []
    assert find_violations(chaos.state_dir, chaos.database) == []


def watch(
    daemon: Daemon, recommendation_id: str, after_sequence: int, until: int | None = None
) -> list[recommendation_pb2.Event]:
    """Return events to the end, or until a sequence number, while the database comes and goes."""
    events: list[recommendation_pb2.Event] = []
    while True:
        try:
            last = events[-1].sequence if events else after_sequence
            for event in daemon.watch(recommendation_id, after_sequence=last):
                events.append(event)
                if event.sequence == until:
                    break
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        else:
            return events


def test_a_search_outlives_its_database_s_restart_and_its_daemon(
    chaos: Chaos, postgres: Postgres
) -> None:
    with chaos.daemon("calm") as daemon:
        undisturbed = watch(daemon, daemon.create("calm"), 0)
        daemon.stop()
    with chaos.daemon("one") as one, chaos.daemon("two") as two:
        recommendation_id = one.create("shaken")
        told = watch(two, recommendation_id, 0, until=len(undisturbed) // 3)
        postgres.restart()
        told += watch(two, recommendation_id, told[-1].sequence, until=2 * len(undisturbed) // 3)
        working, other = (one, two) if one.children() else (two, one)
        working.process.kill()
        told += watch(other, recommendation_id, told[-1].sequence)
        assert ending_of(told) == ending_of(undisturbed)
        assert [event.sequence for event in told] == list(range(1, len(told) + 1))
        for daemon in (one, two):
            daemon.stop()
