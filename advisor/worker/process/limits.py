"""What a process of ours may do, and with whom it dies. Each takes the limits upon itself.

The daemon cannot set them from outside: that would need a fork of a process with gRPC's threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from pathlib import Path

from advisor.kernel.seccomp import forbid_new_privileges
from advisor.pipe.v1 import pipe_pb2

# From linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

MAX_OPEN_FILES = 65536
"""DataLoader workers pass each tensor as a file, so that the usual soft limit of 1024 is low."""

_OOM_SCORE_ADJ = 800
"""Of 1000. When the machine's memory runs out, the kernel should take the worker, not the
daemon or whatever else runs on the machine."""

_UNUSED = (ctypes.c_ulong(0),) * 3  # The kernel insists on zeros.

_libc = ctypes.CDLL(None, use_errno=True)


def confine_worker(parent_pid: int) -> None:
    """Make this process the leader of its own session, with the limits of a worker.

    Args:
        parent_pid: The fork server. When it ends, this process is killed.
    """
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # It ended before the line above.
        os._exit(1)
    # What loses its parent here stays this session's, and is found at its end: one who feeds a
    # data loader from a process in a session of its own must not lose it to another's end.
    adopt_orphans()
    forbid_new_privileges()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    with contextlib.suppress(OSError):  # Some containers forbid it.
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE_ADJ), encoding="ascii")


def limit_resources(confinement: pipe_pb2.Confinement) -> None:
    """Set the limits of a job upon this process and what it starts."""
    for number, field in (
        (resource.RLIMIT_FSIZE, "file_bytes"),
        # Not the address space: data sets that are mapped are larger than any memory.
        (resource.RLIMIT_DATA, "data_bytes"),
        (resource.RLIMIT_CPU, "cpu_s"),
        (resource.RLIMIT_NPROC, "thread_count"),
    ):
        if confinement.HasField(field):  # type: ignore[arg-type] # each is one
            _limit(number, getattr(confinement, field))


def _limit(number: int, most: int) -> None:
    _, hard = resource.getrlimit(number)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(number, (most, most))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent has ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), *_UNUSED) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
