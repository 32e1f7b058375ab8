"""Writes down where user code is: when the daemon asks, and before it ends or unplugs its process.

The daemon reads the file, whose descriptor is above those that user code is likely to close.
"""

from __future__ import annotations

import faulthandler
import functools
import os
from collections.abc import Callable
from typing import Any

from advisor.pipe.framing import STACKS_SIGNAL

_ENDING = ("_exit", "execv", "execve")
"""Functions of ``os`` after which this process runs no more of this program."""


def write_stacks(stacks_fd: int, pipe_fd: int) -> None:
    """Have stacks written to a file: upon the signal, and when user code cuts off this process.

    Args:
        stacks_fd: The file.
        pipe_fd: The pipe to the daemon, which user code must not close.
    """
    # What this process forks, a data loader's workers above all, inherits the handler.
    faulthandler.register(STACKS_SIGNAL, file=stacks_fd, all_threads=True)
    worker_pid = os.getpid()

    def watch(name: str, is_last: Callable[..., bool]) -> None:
        function = getattr(os, name)

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as they are given
            if is_last(*args) and os.getpid() == worker_pid:
                faulthandler.dump_traceback(file=stacks_fd, all_threads=False)
            return function(*args, **kwargs)

        setattr(os, name, watched)

    for name in _ENDING:
        watch(name, lambda *_: True)
    watch("close", lambda fd=-1, *_: fd == pipe_fd)
    watch("closerange", lambda low=0, high=0, *_: low <= pipe_fd < high)
