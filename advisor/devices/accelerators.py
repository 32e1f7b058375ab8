"""AMD GPUs, as reported by a child process that imports torch.

NVML does not support them, and the daemon does not import torch. The child takes seconds, so it
runs once; free memory is read from the driver each time.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bsadvise.model.device import Device, DeviceKind

logger = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-P", "-m", "advisor.worker.process.accelerators")

_TIMEOUT_S = 60.0
"""Importing torch from a cold disk takes ten; a driver that hangs does so for ever."""

_OTHER_BUILDS = ("+cpu", "+cu")
"""How the version of a torch ends that cannot have been built for ROCm."""

_NUMBERING = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""What changes HIP's numbers. The child is to see all; the inventory then hides some."""


_POWER_FILES = ("power1_average", "power1_input")
"""Microwatts; which of them there is depends on the card."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A GPU, and its PCI address, by which the driver's files are found."""

    device: Device
    pci_address: str | None


class Accelerators:
    """Finds AMD's GPUs at the first look and remembers them."""

    def __init__(
        self,
        *,
        root: Path = Path("/"),
        timeout_s: float = _TIMEOUT_S,
        torch_version: str | None = None,
    ) -> None:
        """Create what looks for them.

        Args:
            root: Where the file system begins; another one in tests.
            timeout_s: How long the child may take.
            torch_version: Version of the installed torch; None to look it up.
        """
        self._root = root
        self._timeout_s = timeout_s
        self._torch_version = torch_version
        self._lock = threading.Lock()
        self._found: tuple[_Found, ...] | None = None

    def read(self) -> tuple[Device, ...]:
        """Return the GPUs in HIP's order, with what is free on each now."""
        with self._lock:
            if self._found is None:
                self._found = self._find() if self._may_have_any() else ()
        return tuple(
            replace(found.device, free_bytes=self._read_free(found)) for found in self._found
        )

    def read_power_w(self, device_id: str) -> float | None:
        """Return the watts that one of them draws; None where its driver does not say."""
        with self._lock:
            found = next((f for f in self._found or () if f.device.device_id == device_id), None)
        if found is None or found.pci_address is None:
            return None
        sensors = self._root / "sys/bus/pci/devices" / found.pci_address / "hwmon"
        for name in _POWER_FILES:
            for path in sensors.glob(f"hwmon*/{name}"):
                try:
                    return int(path.read_text(encoding="ascii")) / 1e6
                except (OSError, ValueError):
                    continue
        return None

    def _may_have_any(self) -> bool:
        if not (self._root / "dev/kfd").exists():  # The device file of AMD's compute driver.
            return False
        try:
            version = self._torch_version or importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            return False  # Workers may have interpreters of their own.
        return not any(build in version for build in _OTHER_BUILDS)

    def _find(self) -> tuple[_Found, ...]:
        environment = {k: v for k, v in os.environ.items() if k not in _NUMBERING}
        try:
            child = subprocess.run(
                _COMMAND,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout_s,
                check=True,
            )
            # Drivers print as well; the child's line is the last.
            *_, line = child.stdout.splitlines()
            return tuple(map(_found, json.loads(line)))
        except (OSError, subprocess.SubprocessError, ValueError, TypeError, LookupError) as error:
            logger.warning("cannot list AMD's GPUs; restart the daemon to try again: %s", error)
            return ()

    def _read_free(self, found: _Found) -> int | None:
        """Return what is free by the driver's own count; else what was when it was found."""
        device = found.device
        if found.pci_address is None:
            return device.free_bytes
        card = self._root / "sys/bus/pci/devices" / found.pci_address
        try:
            vram_bytes = int((card / "mem_info_vram_total").read_text(encoding="ascii"))
            used_bytes = int((card / "mem_info_vram_used").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return device.free_bytes
        # A GPU that shares the machine's memory has more than its driver calls its own.
        if vram_bytes < device.total_bytes:
            return device.free_bytes
        return max(0, device.total_bytes - used_bytes)


def _found(card: Mapping[str, object]) -> _Found:
    """Return one card of the child's. Raises ValueError, TypeError or LookupError."""
    index, total_bytes, free_bytes = (
        int(str(card[name])) for name in ("index", "total_bytes", "free_bytes")
    )
    device = Device(
        device_id=f"rocm:{index}",
        name=str(card["name"]),
        kind=DeviceKind(str(card["kind"])),
        present=True,
        total_bytes=total_bytes,
        free_bytes=free_bytes,
        index=index,
    )
    pci_address = card["pci_address"]
    return _Found(device, None if pci_address is None else str(pci_address))
