"""The measurements of the service reach its daemon, as its owner and as its callers."""

from __future__ import annotations

from pathlib import Path

from benchmarks.admission import House
from benchmarks.service import measure_watchers
from tests.support.chaos import Chaos
from tests.support.daemon_process import ready_addresses, start_daemon


async def test_watchers_are_told_everything(tmp_path: Path) -> None:
    with Chaos(tmp_path).daemon() as daemon:
        found = await measure_watchers(daemon.addresses[0], daemon, 3)
    assert found["complete_and_in_order"] == 3


def test_an_honest_users_calls_are_measured(tmp_path: Path) -> None:
    with start_daemon(tmp_path, "--listen", "127.0.0.1:0", "--sandbox", "off") as daemon:
        house = House(ready_addresses(daemon))
        token = house.token("honest")
        assert house.queue(token)
        assert house.latencies(token, 0.2)["calls"] >= 2
