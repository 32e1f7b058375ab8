"""A device that advice can be for."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.values import OpenEnum, Value


class DeviceKind(OpenEnum):
    """What sort of machine a device is."""

    CPU = "cpu"
    CUDA = "cuda"
    ROCM = "rocm"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProcess(Value):
    """Another process that holds memory on a device.

    Attributes:
        pid: Process id.
        process_name: Its executable's name, None when it cannot be read.
        used_bytes: Memory that it holds on the device, None when the driver does not say.
        is_own: Whether it is one of the daemon's own, a worker.
    """

    pid: int
    process_name: str | None = None
    used_bytes: int | None = None
    is_own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(Value):
    """One device, as it was when it was read.

    Attributes:
        device_id: "cpu", the UUID of an NVIDIA GPU, "rocm:N" for an AMD one by HIP's number, or
            the catalogue's name of a card that is not here.
        name: The maker's name.
        kind: CPU, CUDA or ROCm.
        present: Whether it is on this machine; one that is not can only be predicted for.
        total_bytes: Its memory.
        free_bytes: What was free then; None for one that is not present.
        reserved_bytes: What the driver keeps for itself; None where it does not say.
        index: N of "cuda:N", as PyTorch calls AMD's GPUs too; None for a CPU and for a
            card that is not present.
        driver_version: The driver's version; None where there is none.
        processes: Processes that hold memory on it.
        power_w: Watts that it draws; None where the driver does not say.
        power_limit_w: Watts that it may draw; None where the driver does not say.
        utilisation: Share of the last moments in which it was busy, 0 to 1; None where the
            driver does not say.
    """

    device_id: str
    name: str
    kind: DeviceKind
    present: bool
    total_bytes: int
    free_bytes: int | None = None
    reserved_bytes: int | None = None
    index: int | None = None
    driver_version: str | None = None
    processes: tuple[DeviceProcess, ...] = ()
    power_w: float | None = None
    power_limit_w: float | None = None
    utilisation: float | None = None
