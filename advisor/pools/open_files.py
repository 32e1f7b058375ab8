"""What the processes of a worker hold open: files without a name, and files in memory.

A file that is removed while it is open takes its room on until it is closed, and one that was made
by memfd_create(2) or lies in /dev/shm takes memory that belongs to no process. What pipes and
sockets hold cannot be read from outside, so that they are bounded in number.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from advisor.pools.shared_memory import SHARED_MEMORY

_BLOCK_BYTES = 512

MOST_DESCRIPTORS = 32_768
"""Of processes together. Each takes some ten microseconds to look at, and while they are looked
at, nothing else is."""

MOST_PIPES = 8192
"""Pipes and sockets of processes together. One holds up to some 200 KiB of the kernel's memory; a
data loader's process takes about six."""

FileId = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """A regular file that a process holds open.

    Attributes:
        size_bytes: What it takes of the disk, or of memory.
        path: Its name, as the process sees it.
        is_removed: Whether it has none any more.
    """

    size_bytes: int
    path: str
    is_removed: bool


class CannotCount(Exception):
    """What processes hold open cannot be counted. Says in a sentence what they did.

    Attributes:
        fix: What to do about it.
    """

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def find_open_files(pids: Iterable[int]) -> dict[FileId, OpenFile]:
    """Return the regular files that processes hold open; none of those that are gone.

    Raises:
        CannotCount: They are too many, or a process does not let its own be read.
    """
    found: dict[FileId, OpenFile] = {}
    pipes: set[FileId] = set()
    descriptor_count = 0
    for pid in pids:
        try:
            descriptor_count += _look(pid, MOST_DESCRIPTORS - descriptor_count, found, pipes)
        except PermissionError:
            _check_gone(pid)
        except OSError:  # It has ended.
            continue
        if len(pipes) > MOST_PIPES:
            raise _too_many(MOST_PIPES, "pipes and sockets")
    return found


def _look(pid: int, most: int, found: dict[FileId, OpenFile], pipes: set[FileId]) -> int:
    """Add what a process holds open, and return how many descriptors it has. Raises OSError."""
    folder = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        numbers = os.listdir(folder)  # noqa: PTH208 - of a descriptor
        if len(numbers) > most:
            raise _too_many(MOST_DESCRIPTORS, "descriptors")
        for number in numbers:
            with contextlib.suppress(FileNotFoundError):  # Closed meanwhile.
                status = os.stat(number, dir_fd=folder)
                key = (status.st_dev, status.st_ino)
                if stat.S_ISREG(status.st_mode) and key not in found:
                    found[key] = OpenFile(
                        size_bytes=status.st_blocks * _BLOCK_BYTES,
                        path=os.readlink(number, dir_fd=folder),
                        is_removed=status.st_nlink == 0,
                    )
                elif stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
                    pipes.add(key)
    finally:
        os.close(folder)
    return len(numbers)


def _check_gone(pid: int) -> None:
    """Raise CannotCount where a process lives whose descriptors are closed to its own user.

    One that runs a file which may be run and not read is such. Of one that ends they are closed
    too, once it has no memory any more.
    """
    try:
        is_alive = b"\nVmRSS:" in Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return
    if is_alive:
        raise CannotCount(
            "The code runs a program whose open files cannot be read.",
            "Make the program's file readable, and leave the process's dumpable flag set.",
        )


def _too_many(limit: int, what: str) -> CannotCount:
    return CannotCount(
        f"The code holds more than {limit:,} {what} open.", "Close those not in use."
    )


def removed_bytes(
    files: dict[FileId, OpenFile], devices: Iterable[int], besides: FileId | None = None
) -> int:
    """Return what removed files take of some devices.

    Args:
        files: The files.
        devices: The numbers of the devices.
        besides: One that does not count.
    """
    counted = set(devices)
    return sum(
        file.size_bytes
        for key, file in files.items()
        if file.is_removed and key[0] in counted and key != besides
    )


class MemoryFiles:
    """Files in memory that one worker has been seen to hold open.

    The kernel says of no file in /dev/shm who made it. Those that were seen count for as long as
    they are there, and are removed with the worker. In a namespace of its own a worker has a
    /dev/shm of its own, which the kernel bounds and removes.
    """

    def __init__(self) -> None:
        """Note where such files are."""
        self._shared_device = _device_of(SHARED_MEMORY)
        self._nameless_device = _nameless_device()
        self._named: dict[str, FileId] = {}

    def count(self, files: dict[FileId, OpenFile]) -> int:
        """Return the bytes that they take, with those that were open before and are still there."""
        taken_bytes = 0
        for key, file in files.items():
            if key[0] not in {self._shared_device, self._nameless_device}:
                continue
            taken_bytes += file.size_bytes
            if key[0] == self._shared_device and not file.is_removed:
                self._named[file.path] = key
        for path, key in self._named.items():
            if key not in files:
                with contextlib.suppress(OSError):
                    status = Path(path).lstat()
                    if (status.st_dev, status.st_ino) == key:
                        taken_bytes += status.st_blocks * _BLOCK_BYTES
        return taken_bytes

    def remove(self) -> None:
        """Remove those with a name."""
        for path, key in self._named.items():
            with contextlib.suppress(OSError):
                status = Path(path).lstat()
                if (status.st_dev, status.st_ino) == key:
                    Path(path).unlink()


def _device_of(path: Path) -> int:
    try:
        return path.stat().st_dev
    except OSError:
        return -1


def _nameless_device() -> int:
    """Return the device of all files that memfd_create makes."""
    try:
        fd = os.memfd_create("device")
    except OSError:
        return -1
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)
