"""Runs a command as the first process of a user namespace and a process namespace of its own.

    python -m advisor.kernel.user_namespace COMMAND [ARGUMENT...]

The command may then make namespaces for what it starts, without any right on the machine. When it
ends, the kernel ends every process that came from it. This process waits for it, ends as it
does, and takes it along when it is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from advisor.kernel.capabilities import keep_capabilities_over_exec
from advisor.kernel.namespaces import Namespace, leave

_PR_SET_PDEATHSIG = 1
_ALL_USERS = "0 0 4294967295"
"""Each of so many users, from the first, has the number that it has outside."""

_libc = ctypes.CDLL(None, use_errno=True)


def maps_all_users() -> bool:
    """Return whether this process may become any user of the machine."""
    uid_map = Path("/proc/self/uid_map").read_text(encoding="ascii")
    return uid_map.split() == _ALL_USERS.split()


def run(command: Sequence[str]) -> NoReturn:
    """Run a command in new namespaces, and end as it does.

    Raises:
        OSError: There may be no such namespaces here.
    """
    _leave_with_map()
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write_fd)
        _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if not os.read(read_fd, 1):  # The parent ended before the line above.
            os._exit(1)
        keep_capabilities_over_exec()
        os.execvp(command[0], list(command))  # noqa: S606 - no shell is the point
    os.close(read_fd)
    os.write(write_fd, b"\0")
    os.close(write_fd)
    _end_as(os.waitstatus_to_exitcode(_wait(pid)))


def _leave_with_map() -> None:
    """Enter new namespaces of users, whose numbers are those outside, and of processes to come."""
    uid, gid, this = os.geteuid(), os.getegid(), os.getpid()
    waiting_fd, left_fd = os.pipe()
    # Who is inside has no rights outside: root's map of all users is written by one who stays.
    helper = os.fork()
    if helper == 0:
        os.close(left_fd)
        os.read(waiting_fd, 1)
        _write_maps(Path(f"/proc/{this}"), uid, gid)
        os._exit(0)
    os.close(waiting_fd)
    try:
        leave(Namespace.USER | Namespace.PID)
    finally:
        os.close(left_fd)
        _, status = os.waitpid(helper, 0)
    if status != 0:
        raise PermissionError("the users of a namespace cannot be named")


def _write_maps(process_dir: Path, uid: int, gid: int) -> None:
    try:
        (process_dir / "uid_map").write_text(_ALL_USERS, encoding="ascii")
        (process_dir / "gid_map").write_text(_ALL_USERS, encoding="ascii")
    except OSError:  # Who is not root may name themselves alone.
        (process_dir / "uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        (process_dir / "setgroups").write_text("deny", encoding="ascii")
        (process_dir / "gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")


def _wait(pid: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == pid:
            return status


def _end_as(exit_code: int) -> NoReturn:
    if exit_code < 0:
        with contextlib.suppress(OSError):
            signal.signal(-exit_code, signal.SIG_DFL)
        os.kill(os.getpid(), -exit_code)
    os._exit(exit_code if exit_code >= 0 else 1)


if __name__ == "__main__":
    try:
        run(sys.argv[1:])
    except OSError as error:
        sys.exit(f"no namespaces: {error}")
