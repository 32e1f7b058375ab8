"""Removes the shared memory that a session's processes have left: files outlive who made them."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the C library's shm_open keeps files

_TORCH_FILE = re.compile(r"torch_(\d+)_")
"""How PyTorch names a tensor's file, ``NewProcessWideShmHandle``: by the process that made it."""


def remove_shared_memory(pids: Collection[int], directory: Path = SHARED_MEMORY) -> None:
    """Remove the files of tensors that processes have made and nobody can ask for any more.

    With the strategy ``file_system`` of ``torch.multiprocessing`` they are removed by a process
    that ends with its session. A number that belongs to a process again is passed over.

    Args:
        pids: The session's processes, which have ended.
        directory: Where shared memory lies.
    """
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            made = _TORCH_FILE.match(entry.name)
            if made is None or int(made[1]) not in pids or _is_there(int(made[1])):
                continue
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    Path(entry.path).unlink()


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
