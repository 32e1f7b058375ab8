"""Namespaces and mounts: what a process sees of other processes and of the file system.

See namespaces(7), mount_namespaces(7) and user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import enum
import errno
import os
import platform
import struct
from pathlib import Path

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
_MNT_DETACH = 2
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


class Namespace(enum.IntFlag):
    """Kinds of namespaces; from linux/sched.h."""

    MOUNT = 0x00020000
    IPC = 0x08000000
    USER = 0x10000000
    PID = 0x20000000
    NETWORK = 0x40000000


def leave(kinds: Namespace) -> None:
    """Leave namespaces for new ones; of processes, the next child is the first of a new one.

    Raises:
        OSError: The kernel forbids it, or its limit is reached.
    """
    _checked(_libc.unshare(ctypes.c_int(kinds)), "unshare")


def enter(fd: int, kinds: Namespace) -> None:
    """Enter the namespaces of a process that a descriptor names; its children enter that of pids.

    Args:
        fd: Of a process (pidfd_open), or of one namespace.
        kinds: Which.
    """
    _checked(_libc.setns(fd, ctypes.c_int(kinds)), "setns")


def keep_mounts_to_itself() -> None:
    """Let no mount made here show elsewhere, nor one made elsewhere show here."""
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE, None)


def bind(source: Path | str, target: Path | str) -> None:
    """Let a file, or a directory with all that is mounted below it, appear at a second place."""
    _mount(str(source), str(target), None, _MS_BIND | _MS_REC, None)


def make_read_only(target: Path | str, *, recursive: bool = False, devices: bool = False) -> None:
    """Let nothing be written through a mount, and nothing gain rights by being run from it.

    Args:
        target: Where it is mounted.
        recursive: Whether what is mounted below it is meant too.
        devices: Whether device files work.
    """
    attributes = _ATTR_RDONLY | _ATTR_NOSUID | (0 if devices else _ATTR_NODEV)
    # struct mount_attr: to set, to clear, propagation, a descriptor.
    packed = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    _checked(
        _libc.syscall(
            _MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), flags, packed,
            ctypes.c_size_t(len(packed)),
        ),
        f"mount_setattr {target}",
    )  # fmt: skip


def mount_memory(target: Path | str, *, mode: int, size_bytes: int, file_count: int) -> None:
    """Mount an empty directory that is kept in memory and holds no more than it is told.

    Args:
        target: Where.
        mode: Its permissions.
        size_bytes: What its files may hold together; 0 for half of the machine's memory.
        file_count: How many there may be.
    """
    options = f"mode={mode:o},size={size_bytes},nr_inodes={file_count}"
    _mount("tmpfs", str(target), "tmpfs", _MS_NOSUID | _MS_NODEV, options)


def mount_processes(target: Path | str) -> None:
    """Mount /proc for the processes of this namespace.

    Raises:
        OSError: It may not be: where parts of /proc are covered, as in most containers.
    """
    _mount("proc", str(target), "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)


def make_root(directory: Path) -> None:
    """Make a mounted directory the root, and let go of all that is not below it."""
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"No pivot_root for {platform.machine()}")
    os.chdir(directory)
    # The old root lies over the new one until it is unmounted: no directory is needed for it.
    _checked(_libc.syscall(number, b".", b"."), "pivot_root")
    _checked(_libc.umount2(b".", _MNT_DETACH), "umount")
    os.chdir("/")


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None
) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else options.encode()
    _checked(_libc.mount(*encoded, ctypes.c_ulong(flags), data), f"mount {target}")


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
