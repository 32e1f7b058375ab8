"""What directories take of the disk, however user code has arranged them.

It goes from directory to directory by descriptors, since paths may grow longer than the kernel
takes, and opens those whose mode is closed even to their owner.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

_BLOCK_BYTES = 512

MOST_ENTRIES = 100_000
"""Files that are counted before directories are called full, whatever they hold."""

MOST_DEPTH = 200
"""Directories in each other before they are called full; each holds a descriptor open."""

_OPEN = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _TooDeep(Exception):
    """Directories lie in each other without end."""


class Excess(Enum):
    """Of what directories hold more than they may."""

    BYTES = "bytes"
    ENTRIES = "entries"
    DEPTH = "depth"


def find_excess(directories: list[Path], limit_bytes: int, taken_bytes: int = 0) -> Excess | None:
    """Return of what there is too much at and below directories; None of nothing.

    Args:
        directories: Where to look; those that are not there hold nothing.
        limit_bytes: The limit.
        taken_bytes: What is taken already.
    """
    if taken_bytes > limit_bytes:
        return Excess.BYTES
    count = 0
    try:
        for directory in directories:
            for size_bytes in _sizes(str(directory), None, 0):
                taken_bytes += size_bytes
                count += 1
                if taken_bytes > limit_bytes:
                    return Excess.BYTES
                if count > MOST_ENTRIES:
                    return Excess.ENTRIES
    except _TooDeep:
        return Excess.DEPTH
    return None


def _sizes(name: str, parent_fd: int | None, depth: int) -> Iterator[int]:
    if depth > MOST_DEPTH:
        raise _TooDeep
    try:
        fd = _open(name, parent_fd)
    except OSError:  # Removed meanwhile.
        return
    try:
        below: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    yield entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.name)
        for child in below:
            yield from _sizes(child, fd, depth + 1)
    finally:
        os.close(fd)


def _open(name: str, parent_fd: int | None) -> int:
    try:
        return os.open(name, os.O_RDONLY | _OPEN, dir_fd=parent_fd)
    except PermissionError:
        closed = os.open(name, os.O_PATH | _OPEN, dir_fd=parent_fd)
        try:
            # By its descriptor: no link can be put in its place.
            Path(f"/proc/self/fd/{closed}").chmod(0o700)
            return os.open(".", os.O_RDONLY | _OPEN, dir_fd=closed)
        finally:
            os.close(closed)
