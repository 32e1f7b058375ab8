"""DeviceService over the inventory."""

from __future__ import annotations

import asyncio

from bsadvise.v1 import device_pb2
from bsadvise.v1 import device_service_pb2 as pb
from bsadvise.v1.device_service_pb2_grpc import DeviceServiceServicer
from bsadvise.wire.messages import to_message

from advisor.ports.device_inventory import DeviceInventory
from advisor.service.context import Context


class DeviceServicer(DeviceServiceServicer):
    """Lists the daemon's devices."""

    def __init__(self, inventory: DeviceInventory) -> None:
        self._inventory = inventory

    async def ListDevices(
        self, request: pb.ListDevicesRequest, context: Context
    ) -> pb.ListDevicesResponse:
        """Return the devices as they are now."""
        devices = await asyncio.to_thread(self._inventory.list_devices)
        return pb.ListDevicesResponse(
            devices=[to_message(device, device_pb2.Device()) for device in devices]
        )
