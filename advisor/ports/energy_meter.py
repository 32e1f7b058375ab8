"""The energy that a device takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

from bsadvise.model.device import Device

ReadEnergy = Callable[[], float | None]
"""Returns joules since some fixed point, which never fall; None while the device does not say.

Never raises. One thread at a time may call it. A device that tells its watts alone is integrated
over the calls, so that these must be frequent.
"""


class EnergyMeter(ABC):
    """Opens the energy counters of devices. Safe for concurrent use by threads."""

    @abstractmethod
    def open(self, device: Device) -> AbstractContextManager[ReadEnergy | None]:
        """Return what is entered to read a device's energy, and left when that is over.

        Entering gives None where the device does not say, or is not on this machine.
        """
