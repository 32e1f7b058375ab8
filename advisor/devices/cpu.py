"""This machine's processor and the memory that this process may take of it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from bsadvise.model.device import Device, DeviceKind


@dataclass(frozen=True, slots=True)
class _MemoryFiles:
    """Where one version of control groups keeps a group's memory."""

    mount: str
    limit: str
    usage: str
    reclaimable: str


_V1 = _MemoryFiles(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
_V2 = _MemoryFiles("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def read_cpu(root: Path = Path("/")) -> Device:
    """Return the CPU with the memory that is free now.

    In a container the machine's memory is not ours to fill: the least of the limits of the
    control groups that hold this process counts.

    Args:
        root: Where the file system begins; another one in tests.
    """
    memory = psutil.virtual_memory()
    total_bytes, free_bytes = memory.total, memory.available
    for limit_bytes, headroom_bytes in _read_limits(root):
        total_bytes = min(total_bytes, limit_bytes)
        free_bytes = min(free_bytes, headroom_bytes)
    return Device(
        device_id="cpu",
        name=_read_name(root),
        kind=DeviceKind.CPU,
        present=True,
        total_bytes=total_bytes,
        free_bytes=max(0, free_bytes),
    )


def _read_name(root: Path) -> str:
    for line in _read_lines(root / "proc/cpuinfo"):
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    # ARM's cpuinfo names no model.
    return platform.processor() or platform.machine() or "CPU"


def _read_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yield limit and headroom, in bytes, of each control group with a memory limit."""
    for line in _read_lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _read_branch(root, _V2, path)
        elif "memory" in controllers.split(","):
            yield from _read_branch(root, _V1, path)


def _read_branch(root: Path, files: _MemoryFiles, path: str) -> Iterator[tuple[int, int]]:
    # A limit on any ancestor holds too. In a container the path may be the host's and its
    # lower parts not be mounted; the mount itself is then the container's own group.
    mount = root / files.mount
    group = mount / path.strip().lstrip("/")
    while group == mount or mount in group.parents:
        limit_bytes = _read_int(group / files.limit)
        usage_bytes = _read_int(group / files.usage)
        if limit_bytes and usage_bytes is not None:
            reclaimable_bytes = _read_stat(group / "memory.stat", files.reclaimable)
            yield limit_bytes, limit_bytes - usage_bytes + reclaimable_bytes
        group = group.parent


def _read_stat(path: Path, key: str) -> int:
    for line in _read_lines(path):
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


def _read_int(path: Path) -> int | None:
    """Return the number in a file; None when there is none, as in "max"."""
    lines = _read_lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
