"""Other processes on a GPU: what they took and gave back is summed up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bsadvise.model.device import DeviceProcess

from advisor.pools.gpu_tenants import GpuTenants, drift_bytes
from advisor.ports.worker_pool import DeviceLost
from tests.support.fake_inventory import GIB, MovingInventory, make_card, make_cpu, make_gpu


def _tenant(used_bytes: int | None, pid: int = 7, **changes: object) -> DeviceProcess:
    known = DeviceProcess(pid=pid, process_name="python", used_bytes=used_bytes)
    return replace(known, **changes)  # type: ignore[arg-type] # any field


@pytest.mark.parametrize(
    ("before", "after", "drift"),
    [
        ([], [], 0),
        ([_tenant(GIB)], [_tenant(GIB)], 0),
        ([_tenant(GIB)], [_tenant(3 * GIB)], 2 * GIB),
        ([_tenant(GIB)], [], GIB),
        ([], [_tenant(GIB)], GIB),
        # One takes what the other gives back: the measurement is no better for it.
        ([_tenant(GIB, 1)], [_tenant(GIB, 2)], 2 * GIB),
        ([], [_tenant(GIB, is_own=True)], 0),
        ([], [_tenant(GIB, process_name=None)], 0),
        ([_tenant(None)], [_tenant(None)], 0),
    ],
)
async def test_drift_is_what_others_took_and_gave_back(
    before: list[DeviceProcess], after: list[DeviceProcess], drift: int
) -> None:
    reads = (replace(make_gpu(), processes=tuple(each)) for each in (before, after))
    tenants = GpuTenants(MovingInventory(*reads), [make_gpu()])
    assert drift_bytes(await tenants.held_bytes(), await tenants.held_bytes()) == drift


async def test_of_several_gpus_each_process_counts_once_a_gpu() -> None:
    gpus = [make_gpu(0), make_gpu(1)]
    before = [replace(gpu, processes=(_tenant(GIB),)) for gpu in gpus]
    tenants = GpuTenants(MovingInventory(*before, *gpus), gpus)
    assert drift_bytes(await tenants.held_bytes(), await tenants.held_bytes()) == 2 * GIB


async def test_what_is_no_gpu_of_this_host_is_not_read() -> None:
    tenants = GpuTenants(MovingInventory(None), [make_cpu(), make_card()])
    assert await tenants.held_bytes() is None
    assert drift_bytes(None, None) is None


async def test_a_lost_gpu_is_named() -> None:
    tenants = GpuTenants(MovingInventory(None), [make_gpu()])
    with pytest.raises(DeviceLost, match=r"Fake GPU .* was lost"):
        await tenants.held_bytes()
