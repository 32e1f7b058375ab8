"""Tells the daemon of AMD's GPUs, as torch sees them.

Run as ``python -m advisor.worker.process.accelerators``.

The daemon imports no torch, and AMD's GPUs have no library like NVML that every machine with
one has. So this process asks, prints one line of JSON, and ends. A torch that was built for
ROCm shows them under the name of CUDA.
"""

from __future__ import annotations

import json
from typing import Any

import torch


def read_accelerators() -> list[dict[str, Any]]:
    """Return what torch says of each GPU, in the order of their numbers."""
    if torch.version.hip is None or not torch.cuda.is_available():
        return []
    return [_read(index) for index in range(torch.cuda.device_count())]


def _read(index: int) -> dict[str, Any]:
    properties: Any = torch.cuda.get_device_properties(index)
    free_bytes, _ = torch.cuda.mem_get_info(index)
    return {
        "kind": "rocm",
        "name": properties.name,
        "index": index,
        "total_bytes": properties.total_memory,
        "free_bytes": free_bytes,
        "pci_address": _pci_address(properties),
    }


def _pci_address(properties: Any) -> str | None:  # noqa: ANN401 - torch declares no such type
    """Return the name of the card's folder in sysfs; None where torch is too old to know it."""
    if not hasattr(properties, "pci_bus_id"):
        return None
    return (
        f"{properties.pci_domain_id:04x}:{properties.pci_bus_id:02x}"
        f":{properties.pci_device_id:02x}.0"
    )


if __name__ == "__main__":
    print(json.dumps(read_accelerators()))  # noqa: T201 - what it is for
