"""The port's contract over every inventory, and what is this machine's own."""

from __future__ import annotations

import dataclasses

import pytest
from bsadvise.model.device import Device

from advisor.devices.catalogue import CARDS
from advisor.devices.inventory import LocalInventory
from advisor.domain.errors import NotFound
from advisor.ports.device_inventory import DeviceInventory
from tests.support.fake_inventory import GIB, FakeInventory, make_cpu, make_gpu
from tests.support.inventory_contract import InventoryContract

GPUS = (make_gpu(0, free_bytes=3 * GIB), make_gpu(1, free_bytes=9 * GIB), make_gpu(2))


class TestFakeInventory(InventoryContract):
    def make(self, *gpus: Device) -> DeviceInventory:
        return FakeInventory(*gpus)


class TestFakeInventoryWithGpus(TestFakeInventory):
    @pytest.fixture
    def gpus(self) -> tuple[Device, ...]:
        return GPUS


class TestLocalInventory(InventoryContract):
    @pytest.fixture(autouse=True)
    def _all_visible(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def make(self, *gpus: Device) -> DeviceInventory:
        return LocalInventory(read_gpus=lambda: gpus)


class TestLocalInventoryWithGpus(TestLocalInventory):
    @pytest.fixture
    def gpus(self) -> tuple[Device, ...]:
        return GPUS


def _visible(visible_devices: str, gpus: tuple[Device, ...] = GPUS) -> list[tuple[int | None, str]]:
    inventory = LocalInventory(
        read_gpus=lambda: gpus, read_cpu=make_cpu, visible_devices=visible_devices
    )
    return [(gpu.index, gpu.device_id) for gpu in inventory.list_devices()[:-1]]


@pytest.mark.parametrize(
    ("visible_devices", "shown"),
    [
        ("", []),
        ("-1", []),
        ("1", [1]),
        ("2,0", [2, 0]),
        (" 0 , 2 ", [0, 2]),
        (GPUS[2].device_id, [2]),
        (f"{GPUS[2].device_id},1", [2, 1]),
        ("GPU-", []),
        ("0,GPU-,1", [0]),
        ("0,7,1", [0]),
        ("1,1", []),
        (f"{GPUS[1].device_id},0,1", []),
        ("NoDevFiles", []),
    ],
)
def test_only_what_cuda_would_show_is_listed(visible_devices: str, shown: list[int]) -> None:
    assert _visible(visible_devices) == [(n, GPUS[s].device_id) for n, s in enumerate(shown)]


def test_the_environment_says_what_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    inventory = LocalInventory(read_gpus=lambda: GPUS)
    assert inventory.find("cuda:0").device_id == GPUS[2].device_id
    with pytest.raises(NotFound):
        inventory.find(GPUS[0].device_id)


def test_parts_of_a_gpu_are_numbered_like_gpus() -> None:
    parts = tuple(dataclasses.replace(make_gpu(0), device_id=f"MIG-{n}") for n in range(2))
    gpus = (*parts, make_gpu(1))
    inventory = LocalInventory(read_gpus=lambda: gpus, read_cpu=make_cpu)
    assert [inventory.find(f"cuda:{n}").device_id for n in range(3)] == [
        gpu.device_id for gpu in gpus
    ]
    assert inventory.find("mig-1").device_id == "MIG-1"
    # By index CUDA shows the first part alone; by UUID any of them.
    assert _visible("0", gpus) == [(0, "MIG-0")]
    assert _visible("MIG-1,1", gpus) == [(0, "MIG-1"), (1, make_gpu(1).device_id)]


def test_a_gpu_that_does_not_say_what_is_free_comes_last_for_auto() -> None:
    gpus = (make_gpu(0, free_bytes=None), make_gpu(1, free_bytes=0))
    assert LocalInventory(read_gpus=lambda: gpus, read_cpu=make_cpu).find("auto").index == 1


def test_a_slip_of_the_pen_is_answered_with_a_guess() -> None:
    inventory = LocalInventory(read_gpus=lambda: GPUS, read_cpu=make_cpu)
    for selector, guess in (("a100-80", "a100-80gb"), ("RTX4090", "rtx-4090"), ("cuda1", "cuda:1")):
        with pytest.raises(NotFound, match=f"Did you mean '{guess}'"):
            inventory.find(selector)


def test_a_card_is_found_whatever_the_case() -> None:
    assert LocalInventory(read_gpus=lambda: ()).find("H100-80GB") == CARDS["h100-80gb"]


@pytest.mark.parametrize("card", CARDS.values(), ids=list(CARDS))
def test_a_card_has_about_the_memory_that_its_name_says(card: Device) -> None:
    # Typing errors move a digit; what firmware and error correction take is below 7 %.
    nominal_gib = {
        "t4": 16,
        "a10": 24,
        "a10g": 24,
        "a30": 24,
        "a40": 48,
        "l4": 24,
        "l40s": 48,
        "rtx-3090": 24,
        "rtx-4090": 24,
        "rtx-5090": 32,
        "rtx-a6000": 48,
        "rtx-6000-ada": 48,
        # Sold by the decimal gigabyte.
        "h200": 141e9 / GIB,
        "b200": 192e9 / GIB,
    }
    _, _, in_name = card.device_id.partition("-")
    nominal = nominal_gib.get(card.device_id) or float(in_name.removesuffix("gb"))
    assert 0.93 * nominal <= card.total_bytes / GIB <= 1.08 * nominal
