"""Calls a function in a child of this process, which stays as it is: no user code has run in it.

Scripts set start methods, seeds, signal handlers and much else once for a process, and some refuse
to do it again. What one run leaves would be found by the next.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe, wait
from traceback import print_exc
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ChildLost(Exception):
    """The child ended without an answer.

    Attributes:
        exit_code: Its exit code, or the negative number of the signal that ended it; None where it
            was killed because the time was over.
    """

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"the child ended with {exit_code}")
        self.exit_code = exit_code


def call_in_child(function: Callable[[], bytes], limit_s: float) -> bytes:
    """Return what a function returns that is called in the main thread of a child.

    This process must have no threads, and must not have used a GPU.

    Args:
        function: What to call.
        limit_s: Seconds after which the child is killed.

    Raises:
        ChildLost: It ended before the function did, or was killed.
        OSError: There could be no child.
    """
    ours, childs = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        _be_child(function, childs)
    childs.close()
    pidfd = os.pidfd_open(pid)
    try:
        # Not the pipe alone: what the child has started may hold its end open.
        ready = wait([ours, pidfd], limit_s)
        with contextlib.suppress(EOFError):
            if ours in ready or ours.poll():
                return ours.recv_bytes()
    finally:
        os.close(pidfd)
        ours.close()
        os.kill(pid, signal.SIGKILL)  # It has said all that it has to say.
        _, status = os.waitpid(pid, 0)
    raise ChildLost(os.waitstatus_to_exitcode(status) if ready else None)


def _be_child(function: Callable[[], bytes], pipe: Connection) -> NoReturn:
    exit_code = 1
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        pipe.send_bytes(function())
        exit_code = 0
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        print_exc()
    finally:
        # Exit handlers of user code have no say in how long this takes.
        os._exit(exit_code)
