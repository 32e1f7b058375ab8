"""Other processes on a device: how much memory they hold, and whether the device is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bsadvise.model.device import Device, DeviceKind

from advisor.domain.errors import NotFound
from advisor.ports.device_inventory import DeviceInventory


class DeviceLost(Exception):
    """The device of a recommendation is no longer there."""


class Neighbours:
    """Watches the other processes of a device while something is measured on it."""

    def __init__(self, inventory: DeviceInventory, device: Device) -> None:
        self._inventory = inventory
        self._device = device
        self._before: Mapping[int, int] = {}

    async def look(self) -> None:
        """Take note of what they hold now. Raises DeviceLost."""
        self._before = await self._held()

    async def drift_bytes(self) -> int:
        """Return by how much what they hold has changed since the last look, all together.

        Raises:
            DeviceLost: The device does not answer any more.
        """
        before, after = self._before, await self._held()
        return sum(abs(after.get(pid, 0) - before.get(pid, 0)) for pid in {*before, *after})

    async def _held(self) -> Mapping[int, int]:
        if self._device.kind is DeviceKind.CPU or not self._device.present:
            return {}
        device_id = self._device.device_id
        try:
            device = await asyncio.to_thread(self._inventory.find, device_id)
        except NotFound as error:
            raise DeviceLost(
                f"{self._device.name} ({device_id}) was lost while it was measured on. Look at "
                "`nvidia-smi` and the kernel's log; the same request begins anew."
            ) from error
        # What has no name lives in another pid namespace, and our own workers' numbers there
        # are not known: nobody can say whose it is.
        return {
            process.pid: process.used_bytes or 0
            for process in device.processes
            if not process.is_own and process.process_name is not None
        }
