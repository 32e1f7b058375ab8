"""Capabilities: what the root user may do beyond others. A confined process gives most of it up.

Some pass Landlock by: who may watch performance may read the environment of every process. The
first process of a user namespace has all of them, which count for what belongs to that alone.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

_VERSION_3 = 0x20080522
_CHOWN, _DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER = 0, 1, 2, 3
_KEPT_BY_ROOT = 1 << _CHOWN | 1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH | 1 << _FOWNER
"""Root's way with files of others: data sets are often not root's own."""

# From linux/prctl.h.
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 4, 8, 47, 2

_libc = ctypes.CDLL(None, use_errno=True)


def drop_capabilities() -> None:
    """Give up every capability, but for root's over files."""
    _set(_permitted() & _KEPT_BY_ROOT if os.geteuid() == 0 else 0)


def keep_capabilities_over_exec() -> None:
    """Let the program that this process is to run have the capabilities that this has."""
    permitted = _permitted()
    _set(permitted, inheritable=permitted)
    _raise_ambient(permitted)


def become_user(uid: int, gids: Iterable[int]) -> None:
    """Become another user, who may read what anybody may, and has no other right of root's.

    Args:
        uid: The user, and the group.
        gids: Further groups.
    """
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups(sorted(gids))
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    reading = 1 << _DAC_READ_SEARCH
    _set(reading, inheritable=reading)
    _raise_ambient(reading)  # Also for programs that it runs, such as processes of a DataLoader.


def allow_inspection() -> None:
    """Let processes with this one's user look into it, though its rights have changed."""
    _prctl(_PR_SET_DUMPABLE, 1)


def _permitted() -> int:
    data = ctypes.create_string_buffer(24)  # Twice effective, permitted, inheritable.
    _call(_libc.capget, data)
    _, low, _, _, high, _ = struct.unpack("=6I", data.raw)
    return int(high << 32 | low)


def _set(capabilities: int, *, inheritable: int = 0) -> None:
    halves = (
        half
        for shift in (0, 32)
        for half in (capabilities >> shift, capabilities >> shift, inheritable >> shift)
    )
    packed = struct.pack("=6I", *(half & 0xFFFFFFFF for half in halves))
    _call(_libc.capset, ctypes.create_string_buffer(packed, 24))


def _raise_ambient(capabilities: int) -> None:
    for number in range(64):
        if capabilities >> number & 1:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number)


def _call(function: ctypes._NamedFuncPointer, data: ctypes.Array[ctypes.c_char]) -> None:
    if function(struct.pack("=Ii", _VERSION_3, 0), data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Capabilities: {os.strerror(number)}")


def _prctl(option: int, first: int, second: int = 0) -> None:
    values = (ctypes.c_ulong(value) for value in (first, second, 0, 0))
    if _libc.prctl(option, *values) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")
