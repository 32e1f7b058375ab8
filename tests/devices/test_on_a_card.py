"""NVML and PyTorch on a real card: that they speak of one device, and in the units that we take."""

from __future__ import annotations

import os
import time

import pytest
import torch
from bsadvise.model.device import Device, DeviceKind

from advisor.devices.accelerators import Accelerators
from advisor.devices.energy import LocalEnergyMeter
from advisor.devices.inventory import LocalInventory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

MIB = 1 << 20


@pytest.fixture
def card() -> Device:
    """Return the card that PyTorch calls its first, as NVML knows it."""
    uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    return LocalInventory(visible_devices=uuid).find("cuda:0")


def test_both_know_one_card(card: Device) -> None:
    assert card.kind is DeviceKind.CUDA
    assert card.name == torch.cuda.get_device_name(0)
    # PyTorch does not see what the driver keeps for itself.
    kept_bytes = card.reserved_bytes or 0
    total_bytes = torch.cuda.get_device_properties(0).total_memory
    assert total_bytes <= card.total_bytes
    assert total_bytes >= card.total_bytes - kept_bytes - 512 * MIB
    assert card.free_bytes is not None
    assert card.free_bytes <= card.total_bytes - kept_bytes


def test_memory_that_is_taken_is_seen_as_this_process_s(card: Device) -> None:
    held = torch.ones(256 * MIB, dtype=torch.uint8, device="cuda:0")
    torch.cuda.synchronize()
    free_bytes, _ = torch.cuda.mem_get_info(0)
    now = LocalInventory(visible_devices=card.device_id).find("cuda:0")
    assert now.free_bytes == pytest.approx(free_bytes, abs=64 * MIB)
    # In a container NVML's numbers of processes may be another namespace's.
    own = [process for process in now.processes if process.pid == os.getpid()]
    for process in own:
        assert process.is_own
        assert process.used_bytes is None or process.used_bytes >= held.numel()


def test_energy_is_in_joules(card: Device) -> None:
    if card.power_limit_w is None:
        pytest.skip("the driver tells no power")
    matrix = torch.randn(4096, 4096, device="cuda:0")
    with LocalEnergyMeter(Accelerators()).open(card) as read_energy:
        assert read_energy is not None
        began_s, before_j = time.monotonic(), read_energy()
        assert before_j is not None
        # Until the counter, which moves every 20 to 100 ms, has moved several times.
        updates, last_j = 0, before_j
        while updates < 10:
            torch.mm(matrix, matrix)
            torch.cuda.synchronize()
            now_j = read_energy()
            assert now_j is not None
            updates, last_j = updates + (now_j > last_j), now_j
        power_w = (last_j - before_j) / (time.monotonic() - began_s)
    assert 1.0 < power_w < 1.5 * card.power_limit_w
