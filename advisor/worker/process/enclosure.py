"""Process namespaces for workers, each with a first process that does nothing.

Processes that lose their parent become children of the first one, and end with it: to kill it is
to kill all, however often they fork. Making a namespace takes as long as forking a worker, so that
the next one is made ahead of its use.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from advisor.kernel.capabilities import drop_capabilities
from advisor.kernel.namespaces import Namespace, enter, leave
from advisor.kernel.seccomp import forbid_new_privileges

_PR_SET_DUMPABLE = 4

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """Namespaces of one worker.

    Attributes:
        pid: The first process, as its parent numbers it.
        pidfd: A descriptor of it.
    """

    pid: int
    pidfd: int

    def end(self, limit_s: float) -> None:
        """Kill every process in it; return when they are gone, or after a time."""
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        if select.select([self.pidfd], [], [], limit_s)[0]:
            os.waitpid(self.pid, 0)
        os.close(self.pidfd)


def number_outside(pidfd: int) -> int:
    """Return a process's number in the namespace that /proc shows, which may be another's."""
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("Pid:")).split()[1])


class Enclosures:
    """Makes enclosures, one ahead of its use. For a process that may make namespaces."""

    def __init__(self, *, allow_network: bool) -> None:
        """Note which process namespace children are in otherwise.

        Args:
            allow_network: Whether workers see the machine's network.
        """
        self._own_pids_fd = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._kinds = Namespace.IPC
        if not allow_network:
            self._kinds |= Namespace.NETWORK
        self._spare: Enclosure | None = None

    def take(self) -> Enclosure:
        """Return a new one.

        Raises:
            OSError: The kernel has no room for it.
        """
        taken, self._spare = self._spare or self._make(), None
        return taken

    def prepare(self) -> None:
        """Make the next one."""
        if self._spare is None:
            self._spare = self._make()

    def fork_into(self, enclosure: Enclosure) -> int:
        """Fork; the child is a process of the enclosure. Returns as os.fork does."""
        enter(enclosure.pidfd, Namespace.PID)
        return self._fork_once()

    def join(self, enclosure: Enclosure) -> None:
        """Enter its other namespaces, but for that of mounts; for the child alone."""
        enter(enclosure.pidfd, self._kinds)

    def _fork_once(self) -> int:
        """Fork into the namespace that children come into now; later ones come into the usual."""
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid != 0:
                enter(self._own_pids_fd, Namespace.PID)
        return pid

    def _make(self) -> Enclosure:
        ready_fd, done_fd = os.pipe()
        leave(Namespace.PID)
        try:
            pid = self._fork_once()
            if pid == 0:
                _be_first(self._kinds, done_fd)
        finally:
            os.close(done_fd)
        is_ready = os.read(ready_fd, 1)  # Nothing, when the child has ended.
        os.close(ready_fd)
        enclosure = Enclosure(pid=pid, pidfd=os.pidfd_open(pid))
        if not is_ready:
            enclosure.end(limit_s=1.0)
            raise OSError("a worker's namespaces cannot be made")
        return enclosure


def _be_first(kinds: Namespace, done_fd: int) -> NoReturn:
    """Be the first process: hold the namespaces, adopt orphans, and wait to be killed."""
    try:
        leave(kinds)
        # It sees the machine's files: none of the worker's processes may get into it.
        drop_capabilities()
        forbid_new_privileges()
        _libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel then buries what it adopts.
        os.write(done_fd, b"\0")
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        while True:
            signal.pause()
    finally:
        os._exit(1)
