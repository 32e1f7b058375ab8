"""An inventory whose devices a test makes up."""

from __future__ import annotations

from bsadvise.model.device import Device, DeviceKind

from advisor.domain.errors import NotFound
from advisor.ports.device_inventory import DeviceInventory

GIB = 1 << 30


def make_cpu(*, total_bytes: int = 16 * GIB, free_bytes: int = 12 * GIB) -> Device:
    """Return a CPU with so much memory."""
    return Device(
        device_id="cpu",
        name="Fake CPU",
        kind=DeviceKind.CPU,
        present=True,
        total_bytes=total_bytes,
        free_bytes=free_bytes,
    )


def make_gpu(
    index: int = 0, *, total_bytes: int = 80 * GIB, free_bytes: int | None = 79 * GIB
) -> Device:
    """Return GPU number ``index``, with a UUID that follows from the number."""
    return Device(
        device_id=f"GPU-00000000-0000-0000-0000-{index:012d}",
        name="Fake GPU",
        kind=DeviceKind.CUDA,
        present=True,
        total_bytes=total_bytes,
        free_bytes=free_bytes,
        index=index,
        driver_version="999.1",
    )


def make_card(name: str = "a100-80gb", *, total_bytes: int = 80 * GIB) -> Device:
    """Return a card that is not on this machine."""
    return Device(
        device_id=name,
        name=f"Fake {name}",
        kind=DeviceKind.CUDA,
        present=False,
        total_bytes=total_bytes,
    )


class FakeInventory(DeviceInventory):
    """Lists the devices it was given: GPUs first, a CPU last, cards only by name."""

    def __init__(
        self, *gpus: Device, cpu: Device | None = None, card: Device | None = None
    ) -> None:
        self._gpus = gpus
        self._cpu = cpu or make_cpu()
        self._card = card or make_card()

    def list_devices(self) -> tuple[Device, ...]:
        """Return the GPUs, then the CPU."""
        return (*self._gpus, self._cpu)

    def find(self, selector: str) -> Device:
        """Return the device that ``selector`` names."""
        if selector == "auto":
            return max(self._gpus, key=lambda gpu: gpu.free_bytes or 0, default=self._cpu)
        for device in (*self.list_devices(), self._card):
            if selector in {device.device_id, f"cuda:{device.index}"}:
                return device
        names = ", ".join(d.device_id for d in (*self.list_devices(), self._card))
        raise NotFound(f"there is no device {selector!r}; there are: {names}")


class MovingInventory(FakeInventory):
    """A host whose device is found as each read in turn shows it; None: it is not found."""

    def __init__(self, *reads: Device | None) -> None:
        super().__init__(reads[0] or make_gpu())
        self._reads = iter(reads)
        self._last = reads[-1]

    def find(self, selector: str) -> Device:
        """Return what the next read shows."""
        found = next(self._reads, self._last)
        if found is None:
            raise NotFound("there is no such device")
        return found
