"""Limits that the kernel holds for all processes of a worker together, by control groups.

Where systemd delegates a group to the daemon (``Delegate=memory pids``, or one of them), each
worker gets one below it. It counts what the watchdog cannot see: pipes, sockets, page tables and
files in memory. Without one the watchdog counts alone. See Documentation/admin-guide/cgroup-v2.rst
of the kernel.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_CONTROLLERS = ("memory", "pids")
_OF_THE_DAEMON = "daemon"
_OF_A_WORKER = "worker-"

MOST_THREADS = 8192
"""Of a worker's processes together, so that one leaves numbers to the other processes of the
machine, which has 32,768 of them or more."""


@dataclass(frozen=True, slots=True)
class WorkerGroup:
    """The group of one worker.

    Attributes:
        path: Its directory.
    """

    path: Path

    def limit(self, memory_bytes: int | None) -> None:
        """Limit what all processes in it take together.

        Args:
            memory_bytes: Of the machine's memory; None for no limit.
        """
        if (self.path / "pids.max").exists():
            _write(self.path / "pids.max", str(MOST_THREADS))
        if memory_bytes is not None and (self.path / "memory.max").exists():
            _write(self.path / "memory.max", str(memory_bytes))
            with contextlib.suppress(OSError):  # Not on a machine without swap accounting.
                _write(self.path / "memory.swap.max", "0")
            _write(self.path / "memory.oom.group", "1")  # All of a worker, or none of it.

    def add(self, pid: int) -> None:
        """Move a process into it; what that starts is in it too."""
        _write(self.path / "cgroup.procs", str(pid))

    def remove(self) -> None:
        """Kill what is left in it, and remove it where that has ended already."""
        with contextlib.suppress(OSError):
            _write(self.path / "cgroup.kill", "1")
        self.remove_if_empty()

    def remove_if_empty(self) -> None:
        """Remove it unless a process is in it: the kernel keeps such a group."""
        with contextlib.suppress(OSError):
            self.path.rmdir()


@dataclass(frozen=True, slots=True)
class Delegation:
    """A group that the daemon may divide among its workers.

    Attributes:
        path: Its directory.
    """

    path: Path

    def workers(self) -> list[WorkerGroup]:
        """Return the groups of all workers that there are."""
        return [WorkerGroup(path) for path in self.path.glob(f"{_OF_A_WORKER}*")]

    def make(self, worker_pid: int, memory_bytes: int | None) -> WorkerGroup:
        """Make the group of a worker, and move the worker into it.

        Args:
            worker_pid: The worker.
            memory_bytes: What its processes may take together; None for no limit.

        Raises:
            OSError: The kernel refuses.
        """
        for other in self.workers():  # Of which some had not ended when they were removed.
            other.remove_if_empty()
        group = WorkerGroup(self.path / f"{_OF_A_WORKER}{worker_pid}")
        group.path.mkdir()
        try:
            group.limit(memory_bytes)
            group.add(worker_pid)
        except OSError:
            group.remove()
            raise
        return group


def find_delegation(
    own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Delegation | None:
    """Return this process's group, ready to be divided; None where it is not this process's own.

    A group is divided only when nothing but this process is in it: a terminal's holds the user's
    other programs.

    Args:
        own: Names this process's group.
        root: Where groups are mounted.
    """
    try:
        lines = own.read_text(encoding="ascii").splitlines()
        name = next(line for line in lines if line.startswith("0::/")).removeprefix("0::/")
        path = root / name
        offered = (path / "cgroup.controllers").read_text(encoding="ascii").split()
        divided = [name for name in _CONTROLLERS if name in offered]
        members = (path / "cgroup.procs").read_text(encoding="ascii").split()
        if not divided or members != [str(os.getpid())]:
            return None
        delegation = Delegation(path)
        for left in delegation.workers():  # By a daemon that was killed.
            left.remove()
        # A group that is divided may hold no process itself.
        (path / _OF_THE_DAEMON).mkdir(exist_ok=True)
        _write(path / _OF_THE_DAEMON / "cgroup.procs", str(os.getpid()))
        _write(path / "cgroup.subtree_control", " ".join(f"+{name}" for name in divided))
    except (OSError, StopIteration):
        return None
    return delegation


def _write(path: Path, text: str) -> None:
    # The kernel has made the file: to make one would hide that it is missing.
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)
