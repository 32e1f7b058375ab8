"""Landlock: a process gives up every file but those that it names.

Needs no privilege and asks for none of the machine's settings. What the kernel knows of it is
numbered, as its ABI; see landlock(7). Rules bind the calling thread and what it starts, so that
they are for a process that has one thread.
"""

from __future__ import annotations

import ctypes
import enum
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from advisor.kernel.seccomp import forbid_new_privileges

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # The same on every architecture.
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
_NET_BIND_TCP, _NET_CONNECT_TCP = 1, 2


class _Access(enum.IntFlag):
    """Rights to files, in the order of the kernel's bits."""

    EXECUTE = enum.auto()
    WRITE_FILE = enum.auto()
    READ_FILE = enum.auto()
    READ_DIR = enum.auto()
    REMOVE_DIR = enum.auto()
    REMOVE_FILE = enum.auto()
    MAKE_CHAR = enum.auto()
    MAKE_DIR = enum.auto()
    MAKE_REG = enum.auto()
    MAKE_SOCK = enum.auto()
    MAKE_FIFO = enum.auto()
    MAKE_BLOCK = enum.auto()
    MAKE_SYM = enum.auto()
    REFER = enum.auto()
    TRUNCATE = enum.auto()
    IOCTL_DEV = enum.auto()


_READ = _Access.EXECUTE | _Access.READ_FILE | _Access.READ_DIR
_OF_FILES = (
    _Access.EXECUTE | _Access.WRITE_FILE | _Access.READ_FILE | _Access.TRUNCATE | _Access.IOCTL_DEV
)  # The kernel refuses the others on what is not a directory.
_LAST_ACCESS_BY_ABI = {1: _Access.MAKE_SYM, 2: _Access.REFER, 3: _Access.TRUNCATE}

_libc = ctypes.CDLL(None, use_errno=True)


def landlock_abi() -> int:
    """Return the version of Landlock that this kernel offers; 0 for none."""
    abi = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    return max(0, int(abi))


class Ruleset:
    """Rules in the making: nothing may be reached but what is added."""

    def __init__(self, *, allow_network: bool) -> None:
        """Begin with nothing allowed.

        Args:
            allow_network: Whether TCP is left alone.

        Raises:
            OSError: This kernel has no Landlock.
        """
        abi = landlock_abi()
        last = _LAST_ACCESS_BY_ABI.get(abi, _Access.TRUNCATE if abi < 5 else _Access.IOCTL_DEV)
        self._handled = _Access((last << 1) - 1)
        network = 0 if allow_network else _NET_BIND_TCP | _NET_CONNECT_TCP
        attributes = [int(self._handled)]
        if abi >= 4:
            attributes.append(network)
        if abi >= 6:  # Processes outside can then not be signalled either.
            attributes.append(_SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
        packed = struct.pack(f"{len(attributes)}Q", *attributes)
        self._fd = _checked(_libc.syscall(_CREATE_RULESET, packed, ctypes.c_size_t(len(packed)), 0))

    def allow_reading(self, paths: Iterable[Path | str]) -> None:
        """Let files at and below paths be read and run; paths that are not there are left out."""
        self._allow(paths, _READ)

    def allow_listing(self, paths: Iterable[Path | str]) -> None:
        """Let directories at and below paths be listed."""
        self._allow(paths, _Access.READ_DIR)

    def allow_everything(self, paths: Iterable[Path | str]) -> None:
        """Let everything at and below paths be read, changed, made and removed."""
        # Sockets too: a DataLoader's processes wait in silence, for ever, for one not made.
        self._allow(paths, self._handled)

    def enforce(self) -> None:
        """Bind this thread, and what it starts, to the rules for good."""
        forbid_new_privileges()
        _checked(_libc.syscall(_RESTRICT_SELF, self._fd, 0))
        os.close(self._fd)

    def _allow(self, paths: Iterable[Path | str], access: _Access) -> None:
        for path in paths:
            try:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:  # Not on this machine, or not for this user anyway.
                continue
            try:
                is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
                allowed = self._handled & (access if is_directory else access & _OF_FILES)
                if allowed:
                    rule = struct.pack("=Qi", allowed, fd)
                    _checked(_libc.syscall(_ADD_RULE, self._fd, _RULE_PATH_BENEATH, rule, 0))
            finally:
                os.close(fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
