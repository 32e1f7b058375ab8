"""Observes the host of a worker while it carries out a command: other processes, and power."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from bsadvise.model.device import Device
from bsadvise.model.measurements import Outcome

from advisor.application.supervision import Supervisor
from advisor.pools.gpu_tenants import GpuTenants, drift_bytes
from advisor.pools.power_watch import PowerWatch
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.energy_meter import EnergyMeter
from advisor.ports.worker_pool import CommandResult, MeasurementContext


@dataclass(frozen=True, slots=True, kw_only=True)
class HostObserver:
    """Observes devices of the host that it runs on, which is the host of the workers.

    Attributes:
        inventory: Finds them.
        energy_meter: Reads their energy.
        clock: Times those reads.
        supervisor: Is told of reads that fail.
    """

    inventory: DeviceInventory
    energy_meter: EnergyMeter
    clock: Clock
    supervisor: Supervisor = field(default_factory=Supervisor)

    @asynccontextmanager
    async def observing(self, devices: Sequence[Device]) -> AsyncIterator[DeviceObserver]:
        """Open the energy counters of devices, and close them on leaving."""
        async with AsyncExitStack() as stack:
            watches = []
            for device in devices:
                meter = self.energy_meter.open(device)
                read_energy = await asyncio.to_thread(stack.enter_context, meter)
                watches.append(PowerWatch(read_energy, self.clock, self.supervisor))
            yield DeviceObserver(GpuTenants(self.inventory, devices), watches)


class DeviceObserver:
    """Observes the devices of one job, one command at a time."""

    def __init__(self, tenants: GpuTenants, watches: Sequence[PowerWatch]) -> None:
        self._tenants = tenants
        self._watches = watches

    async def observe(self, execute: Callable[[], Awaitable[Outcome]]) -> CommandResult:
        """Return the outcome of ``execute`` and what was observed meanwhile.

        Raises:
            DeviceLost: A device does not answer any more.
        """
        before = await self._tenants.held_bytes()
        async with AsyncExitStack() as stack:
            for watch in self._watches:
                await stack.enter_async_context(watch.watching())
            outcome = await execute()
        context = MeasurementContext(
            drift_bytes=drift_bytes(before, await self._tenants.held_bytes()),
            mean_power_w=self._mean_power_w(outcome),
        )
        return CommandResult(outcome=outcome, context=context)

    def _mean_power_w(self, outcome: Outcome) -> float | None:
        powers_w = [watch.mean_power_w(outcome) for watch in self._watches]
        known_w = [power_w for power_w in powers_w if power_w is not None]
        is_known = bool(known_w) and len(known_w) == len(powers_w)
        return sum(known_w) / len(known_w) if is_known else None
