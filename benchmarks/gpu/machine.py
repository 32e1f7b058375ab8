"""What this machine has, asked in a process that ends: CUDA, once up, keeps memory of the card.

``python -m benchmarks.gpu.machine`` prints it as one line of JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from typing import Any

from benchmarks.gpu.plan import Part
from benchmarks.memory_bench.machine import describe_machine

_PACKAGES = ("bsadvise", "torch", "triton", "numpy", "nvidia-ml-py", "transformers", "scikit-learn")
_MODULES = {Part.PHOTOGRAPHS: ("sklearn", "PIL"), Part.TRANSFORMERS: ("transformers",)}
_LIMIT_S = 120.0
"""Importing torch from a cold disk takes tens of seconds."""


def read_machine() -> dict[str, Any]:
    """Return what ``_describe`` does, asked in a process of its own."""
    asked = subprocess.run(
        (sys.executable, "-m", "benchmarks.gpu.machine"),
        stdout=subprocess.PIPE, timeout=_LIMIT_S, check=True,
    )  # fmt: skip
    *_, line = asked.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def _describe() -> dict[str, Any]:
    """Return the machine, its card and what it has, without names of hosts or users."""
    import torch  # noqa: PLC0415 - slow, and in this process alone
    from bsadvise.model.device import DeviceKind  # noqa: PLC0415

    from advisor.devices.accelerators import Accelerators  # noqa: PLC0415
    from advisor.devices.energy import LocalEnergyMeter  # noqa: PLC0415
    from advisor.devices.inventory import LocalInventory  # noqa: PLC0415
    from advisor.kernel.landlock import landlock_abi  # noqa: PLC0415

    # To describe a machine that has no such variable.
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    device = LocalInventory().find("auto")
    if device.kind is DeviceKind.CUDA:
        os.environ["CUDA_VISIBLE_DEVICES"] = device.device_id
    has_cuda = device.kind is DeviceKind.CUDA and torch.cuda.is_available()
    card = None
    if has_cuda:
        properties = torch.cuda.get_device_properties(0)
        card = {
            "name": device.name,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "multiprocessor_count": properties.multi_processor_count,
            "total_bytes": device.total_bytes,
            "reserved_bytes": device.reserved_bytes,
            "torch_total_bytes": properties.total_memory,
            "power_limit_w": device.power_limit_w,
            "driver_version": device.driver_version,
        }
    with LocalEnergyMeter(Accelerators()).open(device) as read_energy:
        has_energy = read_energy is not None and read_energy() is not None
    parts = {
        Part.CUDA: has_cuda,
        Part.COMPILER: shutil.which("gcc") is not None or shutil.which("cc") is not None,
        Part.LANDLOCK: landlock_abi() > 0,
        Part.ENERGY: has_energy,
        **{part: all(map(importlib.util.find_spec, names)) for part, names in _MODULES.items()},
    }
    return {
        "device_id": device.device_id if has_cuda else None,
        "parts": [part for part, is_there in parts.items() if is_there],
        "card": card,
        "machine": {
            **describe_machine(_PACKAGES),
            "kernel": platform.release(),
            "landlock_abi": landlock_abi(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "allocator_settings": os.environ.get(
                "PYTORCH_ALLOC_CONF", os.environ.get("PYTORCH_CUDA_ALLOC_CONF", "")
            ),
        },
    }


if __name__ == "__main__":
    print(json.dumps(_describe()))
