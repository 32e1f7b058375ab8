"""A filter of system calls that keeps a process off the network, UDP and name service included.

Landlock knows TCP alone. Here a socket may be of the local kind only: the processes of a
DataLoader talk to each other through those.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct

# From linux/prctl.h, linux/seccomp.h and linux/audit.h.
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES

# By machine: the kernel's number of the architecture, and those of socket(2) and io_uring_setup(2),
# whose rings can make sockets without a call.
_ARCHITECTURES = {"x86_64": (0xC000003E, 41, 425), "aarch64": (0xC00000B7, 198, 425)}

_X32_BIT = 0x40000000
"""Calls of the x32 ABI have numbers of their own from here on."""

# Offsets in struct seccomp_data.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16

# Classic BPF: load a word, jump if equal, jump if at least, return.
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06

_libc = ctypes.CDLL(None, use_errno=True)


def can_forbid_network() -> bool:
    """Return whether ``forbid_network`` knows this machine."""
    return platform.machine() in _ARCHITECTURES


def forbid_new_privileges() -> None:
    """Let nothing that this process runs have more rights than it has itself."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0)


def forbid_network() -> None:
    """Refuse every new socket but local ones to this thread and to what it starts.

    Raises:
        OSError: The kernel does not filter, or the machine is of a kind that is not known here.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"No filter of system calls for {machine}")
    architecture, socket_call, io_uring_setup = _ARCHITECTURES[machine]
    # Jumps count the instructions that they pass over: ALLOW is the last, REFUSE before it.
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, architecture, if_not=6),  # 32-bit code: REFUSE.
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32_BIT, if_so=4),
        _instruction(_EQUAL, io_uring_setup, if_so=3),
        _instruction(_EQUAL, socket_call, if_not=3),
        _instruction(_LOAD, _FIRST_ARGUMENT),
        _instruction(_EQUAL, socket.AF_UNIX, if_so=1),
        _instruction(_RETURN, _REFUSE),
        _instruction(_RETURN, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(program))
    # struct sock_fprog: a length and a pointer, aligned.
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    forbid_new_privileges()
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header)


def _instruction(code: int, operand: int, *, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_so, if_not, operand)


def _prctl(option: int, first: int, second: int | bytes) -> None:
    if isinstance(second, int):
        second = ctypes.c_ulong(second)  # type: ignore[assignment] # as wide as the kernel reads
    if _libc.prctl(option, ctypes.c_ulong(first), second, ctypes.c_ulong(0), ctypes.c_ulong(0)):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")
