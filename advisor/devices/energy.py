"""The energy meter of this machine: NVML, AMD's driver, and the counters of its processors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bsadvise.model.device import Device, DeviceKind

from advisor.devices import nvml
from advisor.devices.accelerators import Accelerators
from advisor.devices.rapl import open_packages
from advisor.ports.energy_meter import EnergyMeter, ReadEnergy

_ReadPower = Callable[[], float | None]


class LocalEnergyMeter(EnergyMeter):
    """Reads what the driver or the kernel of each device tells."""

    def __init__(
        self,
        accelerators: Accelerators,
        *,
        root: Path = Path("/"),
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a meter.

        Args:
            accelerators: What knows AMD's GPUs.
            root: Where the file system begins; another one in tests.
            monotonic_s: Returns the seconds over which watts are integrated.
        """
        self._accelerators = accelerators
        self._root = root
        self._monotonic_s = monotonic_s

    @contextmanager
    def open(self, device: Device) -> Iterator[ReadEnergy | None]:
        """Let a device's energy be read while this is entered."""
        match device.kind if device.present else None:
            case DeviceKind.CUDA:
                with nvml.open_gpu(device.device_id) as gpu:
                    yield None if gpu is None else self._reader_of(gpu)
            case DeviceKind.ROCM:
                yield self._integral(lambda: self._accelerators.read_power_w(device.device_id))
            case DeviceKind.CPU:
                yield open_packages(self._root)
            case None:
                yield None

    def _reader_of(self, gpu: nvml.Handle) -> ReadEnergy | None:
        if nvml.read_energy_j(gpu) is not None:
            return lambda: nvml.read_energy_j(gpu)
        # Before Volta there is no counter.
        return self._integral(lambda: nvml.read_power_w(gpu))

    def _integral(self, read_power_w: _ReadPower) -> ReadEnergy | None:
        power_w = read_power_w()
        return None if power_w is None else _Integral(read_power_w, power_w, self._monotonic_s)


class _Integral:
    """Makes joules of watts: the area below the straight lines from read to read."""

    def __init__(
        self, read_power_w: _ReadPower, power_w: float, monotonic_s: Callable[[], float]
    ) -> None:
        self._read_power_w = read_power_w
        self._monotonic_s = monotonic_s
        self._last_s = monotonic_s()
        self._last_w = power_w
        self._energy_j = 0.0

    def __call__(self) -> float | None:
        power_w = self._read_power_w()
        if power_w is None:
            return None
        now_s = self._monotonic_s()
        self._energy_j += (now_s - self._last_s) * (power_w + self._last_w) / 2
        self._last_s, self._last_w = now_s, power_w
        return self._energy_j
