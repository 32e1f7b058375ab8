"""Cards that advice can be given for without having one.

The sizes are what NVML reports as total memory, in MiB as `nvidia-smi` prints it, read from
its published output for each card under drivers since R510 with error correction as the card
is delivered. They are less than the sizes on the box where error correction or the firmware
takes a share. What the driver reserves of the total differs between drivers, so it is not
listed here.
"""

from __future__ import annotations

from bsadvise.model.device import Device, DeviceKind

_MIB = 1 << 20

_CARDS = {
    "t4": ("Tesla T4", 15360),
    "v100-16gb": ("Tesla V100-SXM2-16GB", 16384),
    "v100-32gb": ("Tesla V100-SXM2-32GB", 32768),
    "a10": ("NVIDIA A10", 23028),
    "a10g": ("NVIDIA A10G", 23028),
    "a30": ("NVIDIA A30", 24576),
    "a40": ("NVIDIA A40", 46068),
    "l4": ("NVIDIA L4", 23034),
    "l40s": ("NVIDIA L40S", 46068),
    "a100-40gb": ("NVIDIA A100-SXM4-40GB", 40960),
    "a100-80gb": ("NVIDIA A100-SXM4-80GB", 81920),
    "h100-80gb": ("NVIDIA H100 80GB HBM3", 81559),
    "h200": ("NVIDIA H200", 143771),
    "b200": ("NVIDIA B200", 183359),
    "rtx-a6000": ("NVIDIA RTX A6000", 49140),
    "rtx-6000-ada": ("NVIDIA RTX 6000 Ada Generation", 49140),
    "rtx-3090": ("NVIDIA GeForce RTX 3090", 24576),
    "rtx-4090": ("NVIDIA GeForce RTX 4090", 24564),
    "rtx-5090": ("NVIDIA GeForce RTX 5090", 32607),
}

CARDS: dict[str, Device] = {
    card: Device(
        device_id=card,
        name=name,
        kind=DeviceKind.CUDA,
        present=False,
        total_bytes=total_mib * _MIB,
    )
    for card, (name, total_mib) in _CARDS.items()
}
"""Every card by the name that a user gives."""
