"""Other processes on a card: what they do meanwhile is in the log, and a lost card is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from bsadvise.model.advice import RefusalCode
from bsadvise.model.device import Device, DeviceProcess
from bsadvise.model.recommendation import State

from advisor.application.gpu_tenants import DeviceLost, Neighbours
from advisor.domain.errors import NotFound
from tests.support.bench import Bench, create, end_of
from tests.support.fake_inventory import GIB, FakeInventory, make_cpu, make_gpu


def _neighbour(used_bytes: int | None, pid: int = 7, **changes: object) -> DeviceProcess:
    known = DeviceProcess(pid=pid, process_name="python", used_bytes=used_bytes)
    return dataclasses.replace(known, **changes)  # type: ignore[arg-type] # any field


class MovingInventory(FakeInventory):
    """A machine with one card that is found as each look in turn shows it; None: not found."""

    def __init__(self, *looks: Device | None) -> None:
        super().__init__(looks[0] or make_gpu())
        self._looks: Iterator[Device | None] = iter(looks)
        self._last = looks[-1]

    def find(self, selector: str) -> Device:
        found = next(self._looks, self._last)
        if found is None:
            raise NotFound("there is no such device")
        return found


def _card(*processes: DeviceProcess) -> Device:
    return dataclasses.replace(make_gpu(), processes=processes)


@pytest.mark.parametrize(
    ("before", "after", "drift"),
    [
        ([], [], 0),
        ([_neighbour(GIB)], [_neighbour(GIB)], 0),
        ([_neighbour(GIB)], [_neighbour(3 * GIB)], 2 * GIB),
        ([_neighbour(GIB)], [], GIB),
        ([], [_neighbour(GIB)], GIB),
        # One takes what the other gives back: the measurement is no better for it.
        ([_neighbour(GIB, 1)], [_neighbour(GIB, 2)], 2 * GIB),
        ([], [_neighbour(GIB, is_own=True)], 0),
        ([], [_neighbour(GIB, process_name=None)], 0),
        ([_neighbour(None)], [_neighbour(None)], 0),
    ],
)
async def test_drift_is_what_others_took_and_gave_back(
    before: list[DeviceProcess], after: list[DeviceProcess], drift: int
) -> None:
    inventory = MovingInventory(_card(*before), _card(*after))
    neighbours = Neighbours(inventory, make_gpu())
    await neighbours.look()
    assert await neighbours.drift_bytes() == drift


async def test_a_cpu_has_no_neighbours() -> None:
    neighbours = Neighbours(MovingInventory(None), make_cpu())
    await neighbours.look()
    assert await neighbours.drift_bytes() == 0


async def test_a_lost_card_is_said_by_name() -> None:
    neighbours = Neighbours(MovingInventory(_card(), None), make_gpu())
    await neighbours.look()
    with pytest.raises(DeviceLost, match="was lost"):
        await neighbours.drift_bytes()


async def test_the_log_says_what_neighbours_did(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    quiet, busy = _card(), _card(_neighbour(GIB))
    # Found when it is created and when it is begun; then before and after each command.
    bench.inventory = MovingInventory(quiet, quiet, quiet, busy, busy)
    async with bench.running() as application:
        created = await create(application, await bench.request(device="cuda:0"), "one")
        await end_of(application, created)
    log = await bench.store.log(created.recommendation_id)
    assert [entry.drift_bytes for entry in log] == [GIB, *[0] * (len(log) - 1)]


async def test_a_card_lost_meanwhile_ends_it_with_a_refusal(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.inventory = MovingInventory(_card(), _card(), _card(), None)
    async with bench.running() as application:
        created = await create(application, await bench.request(device="cuda:0"), "one")
        ending = await end_of(application, created)
    assert ending.state is State.FAILED
    assert ending.refusal is not None
    assert ending.refusal.code is RefusalCode.DEVICE
    assert "was lost" in ending.refusal.message
