"""Memory that other processes hold on the devices of a job, and whether these still answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from bsadvise.model.device import Device, DeviceKind

from advisor.domain.errors import NotFound
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.worker_pool import DeviceLost

HeldBytes = dict[tuple[str, int], int]
"""Bytes by device id and process id."""


class GpuTenants:
    """Reads what other processes hold on the GPUs of a job."""

    def __init__(self, inventory: DeviceInventory, devices: Sequence[Device]) -> None:
        """Take note of the devices.

        Args:
            inventory: Finds them again, as they then are.
            devices: The devices of a job. Those that are CPUs, or not on this host, have no
                tenants.
        """
        self._inventory = inventory
        self._gpus = [
            device for device in devices if device.present and device.kind is not DeviceKind.CPU
        ]

    async def held_bytes(self) -> HeldBytes | None:
        """Return what each of them holds now; None where the job has no GPU.

        Raises:
            DeviceLost: A device does not answer any more.
        """
        if not self._gpus:
            return None
        return await asyncio.to_thread(lambda: dict(self._read()))

    def _read(self) -> Iterator[tuple[tuple[str, int], int]]:
        for gpu in self._gpus:
            try:
                found = self._inventory.find(gpu.device_id)
            except NotFound as error:
                raise DeviceLost(
                    f"{gpu.name} ({gpu.device_id}) was lost while it was measured on. Look at "
                    "`nvidia-smi` and the kernel's log; the same request begins anew."
                ) from error
            for process in found.processes:
                # What has no name lives in another pid namespace, and our own workers' numbers
                # there are not known: nobody can say whose it is.
                if not process.is_own and process.process_name is not None:
                    yield (gpu.device_id, process.pid), process.used_bytes or 0


def drift_bytes(before: HeldBytes | None, after: HeldBytes | None) -> int | None:
    """Return the sum over processes of the bytes that each took or gave back between two reads.

    None where nothing was read.
    """
    if before is None or after is None:
        return None
    return sum(abs(after.get(one, 0) - before.get(one, 0)) for one in {*before, *after})
