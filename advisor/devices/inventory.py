"""The inventory of this machine: its GPUs, its CPU, and the catalogue of cards."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable

from bsadvise.model.device import Device, DeviceKind

from advisor.devices.accelerators import Accelerators
from advisor.devices.catalogue import CARDS
from advisor.devices.cpu import read_cpu
from advisor.devices.nvml import read_gpus
from advisor.domain.errors import NotFound
from advisor.ports.device_inventory import DeviceInventory

_VISIBLE = {
    DeviceKind.CUDA: ("CUDA_VISIBLE_DEVICES",),
    DeviceKind.ROCM: ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
}
"""What hides GPUs of a kind and orders them; the first that is set counts."""


class LocalInventory(DeviceInventory):
    """Looks at the machine anew for every question."""

    def __init__(
        self,
        *,
        read_gpus: Callable[[], tuple[Device, ...]] = read_gpus,
        read_accelerators: Callable[[], tuple[Device, ...]] | None = None,
        read_cpu: Callable[[], Device] = read_cpu,
        visible_devices: str | None = None,
    ) -> None:
        """Create an inventory.

        Args:
            read_gpus: Returns the GPUs in NVML's order.
            read_accelerators: Returns GPUs that NVML does not know; asked where it knows none.
            read_cpu: Returns the CPU.
            visible_devices: What CUDA_VISIBLE_DEVICES, or ROCm's own, would hold; None for what it
                does hold.
        """
        self._read_gpus = read_gpus
        self._read_accelerators = read_accelerators or Accelerators().read
        self._read_cpu = read_cpu
        self._visible_devices = visible_devices

    def list_devices(self) -> tuple[Device, ...]:
        """Return the devices of this machine as they are now, GPUs first, the CPU last."""
        return (*self._list_gpus(), self._read_cpu())

    def find(self, selector: str) -> Device:
        """Return the device that a user means. Raises NotFound."""
        wanted = selector.strip().lower()
        if wanted == "cpu":
            return self._read_cpu()
        if wanted in CARDS:
            return CARDS[wanted]
        gpus = self._list_gpus()
        if wanted == "auto":
            return max(gpus, key=_free_bytes) if gpus else self._read_cpu()
        for gpu in gpus:
            if wanted in (gpu.device_id.lower(), f"cuda:{gpu.index}"):
                return gpu
        raise NotFound(_describe_missing(selector, gpus))

    def _list_gpus(self) -> tuple[Device, ...]:
        gpus = self._read_gpus() or self._read_accelerators()
        if gpus:
            visible = self._visible_devices
            if visible is None:
                names = _VISIBLE[gpus[0].kind]
                visible = next((os.environ[name] for name in names if name in os.environ), None)
            if visible is not None:
                gpus = _select_visible(gpus, visible)
        # N of "cuda:N" is the place in the list, as it is for CUDA: the parts of one GPU have
        # its index in common, and hidden GPUs leave no gaps.
        return tuple(dataclasses.replace(gpu, index=n) for n, gpu in enumerate(gpus))


def _select_visible(gpus: tuple[Device, ...], visible: str) -> tuple[Device, ...]:
    """Return the GPUs that CUDA would show, in its order.

    An entry is an index or the beginning of a UUID. The first that matches nothing, or several
    UUIDs, hides those after it; one that is repeated hides all, as CUDA has it.
    """
    selected: list[Device] = []
    for entry in map(str.strip, visible.split(",")):
        matches = [gpu for gpu in gpus if _is_meant(gpu, entry)]
        if not matches or (len(matches) > 1 and not entry.isdigit()):
            break
        if matches[0] in selected:
            return ()
        # By index, of a partitioned GPU only the first part is shown.
        selected.append(matches[0])
    return tuple(selected)


def _is_meant(gpu: Device, entry: str) -> bool:
    if entry.isdigit():
        return gpu.index == int(entry)
    return entry.startswith(("GPU-", "MIG-")) and gpu.device_id.startswith(entry)


def _free_bytes(gpu: Device) -> int:
    # One that does not say what is free shares the machine's memory: the last resort.
    return -1 if gpu.free_bytes is None else gpu.free_bytes


def _describe_missing(selector: str, gpus: tuple[Device, ...]) -> str:
    here = ["auto", "cpu", *(f"cuda:{gpu.index} ({gpu.device_id}, {gpu.name})" for gpu in gpus)]
    names = [
        *("auto", "cpu"),
        *(f"cuda:{gpu.index}" for gpu in gpus),
        *(gpu.device_id for gpu in gpus),
        *CARDS,
    ]
    close = difflib.get_close_matches(selector.strip().lower(), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"there is no device {selector!r}.{hint} On this machine: {', '.join(here)}. "
        f"Cards that can be predicted for: {', '.join(CARDS)}."
    )
