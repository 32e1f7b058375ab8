"""Who holds a lease: a process, named so that this machine can tell whether it still lives."""

from __future__ import annotations

import socket
import uuid
from functools import cache
from pathlib import Path

import psutil


def this_owner() -> str:
    """Return the name of this process as an owner of leases: machine, pid and start time."""
    process = psutil.Process()
    return f"{_machine()}:{process.pid}:{_started_s(process):.2f}"


def is_owner_dead(owner: str) -> bool:
    """Return whether the process that ``this_owner`` named is known to be gone.

    Of a process on another machine, or in another container, nothing is known.
    """
    machine, _, process_name = owner.partition(":")
    pid, _, started_s = process_name.partition(":")
    if machine != _machine() or not pid.isdecimal():
        return False
    try:
        process = psutil.Process(int(pid))
        # A killed process stays as a zombie until its parent asks for it.
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        return is_zombie or f"{_started_s(process):.2f}" != started_s
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OSError):  # No descriptor is left to look with, say.
        return False


def _started_s(process: psutil.Process) -> float:
    # Since boot, because times of day shift when the clock is set. The order of the two calls
    # matters: the first refreshes the boot time that older versions of psutil remember.
    boot_time_s = psutil.boot_time()
    return process.create_time() - boot_time_s


@cache
def _machine() -> str:
    # Containers share host names, and have pids of their own; a restart gives all pids anew.
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        pid_namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return uuid.uuid4().hex  # nothing can then be known of another process
    return f"{socket.gethostname()}/{boot_id}/{pid_namespace}"
