"""The devices of this machine, and those that can be predicted for."""

from __future__ import annotations

from abc import ABC, abstractmethod

from bsadvise.model.device import Device


class DeviceInventory(ABC):
    """Lists devices and looks them up. Safe for concurrent use by threads."""

    @abstractmethod
    def list_devices(self) -> tuple[Device, ...]:
        """Return the devices of this machine as they are now, GPUs first, the CPU last."""

    @abstractmethod
    def find(self, selector: str) -> Device:
        """Return the device that a user means.

        Args:
            selector: "auto" (the GPU with the most free memory, else the CPU), "cpu",
                "cuda:N", a UUID, or a name from the catalogue of cards.

        Raises:
            NotFound: There is none; the message names those that there are.
        """
