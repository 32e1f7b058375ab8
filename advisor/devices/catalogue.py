"""Cards that advice can be given for without having one.

The sizes are what NVML reports as total memory, in MiB as `nvidia-smi` prints it, read from
its published output for each card under drivers since R510 with error correction as the card
is delivered. They are less than the sizes on the box where error correction or the firmware
takes a share. What the driver reserves of the total differs between drivers, so it is not
listed here.
"""

from __future__ import annotations

from bsadvise.model.cards import CARD_NAMES
from bsadvise.model.device import Device, DeviceKind

_MIB = 1 << 20

_TOTAL_MIB = {
    "t4": 15360,
    "v100-16gb": 16384,
    "v100-32gb": 32768,
    "a10": 23028,
    "a10g": 23028,
    "a30": 24576,
    "a40": 46068,
    "l4": 23034,
    "l40s": 46068,
    "a100-40gb": 40960,
    "a100-80gb": 81920,
    "h100-80gb": 81559,
    "h200": 143771,
    "b200": 183359,
    "rtx-a6000": 49140,
    "rtx-6000-ada": 49140,
    "rtx-3090": 24576,
    "rtx-4090": 24564,
    "rtx-5090": 32607,
}

CARDS: dict[str, Device] = {
    card: Device(
        device_id=card,
        name=CARD_NAMES[card],
        kind=DeviceKind.CUDA,
        present=False,
        total_bytes=total_mib * _MIB,
    )
    for card, total_mib in _TOTAL_MIB.items()
}
"""Every card by the name that a user gives."""
