"""Capabilities: what the root user may do beyond others. A confined root gives most of it up.

Some pass Landlock by: who may watch performance may read the environment of every process.
"""

from __future__ import annotations

import ctypes
import os
import struct

_VERSION_3 = 0x20080522
_CHOWN, _DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER = 0, 1, 2, 3
_KEPT = 1 << _CHOWN | 1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH | 1 << _FOWNER
"""Root's way with files of others: data sets are often not root's own."""

_libc = ctypes.CDLL(None, use_errno=True)


def drop_capabilities() -> None:
    """Give up every capability but those over files."""
    header = struct.pack("=Ii", _VERSION_3, 0)
    held = ctypes.create_string_buffer(24)  # Twice effective, permitted, inheritable.
    _call(_libc.capget, header, held)
    effective, permitted, _, *_ = struct.unpack("=6I", held.raw)
    kept = struct.pack("=6I", effective & _KEPT, permitted & _KEPT, 0, 0, 0, 0)
    _call(_libc.capset, header, ctypes.create_string_buffer(kept, 24))


def _call(
    function: ctypes._NamedFuncPointer, header: bytes, data: ctypes.Array[ctypes.c_char]
) -> None:
    if function(header, data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Capabilities: {os.strerror(number)}")
