"""A filter of system calls: what a confined process has no use for, or would use on others.

It keeps a process off the network, UDP and name service included, since Landlock knows TCP alone.
It refuses what makes namespaces, mounts, keys and kernel objects, what looks into or acts on other
processes, and memory that no count of processes finds. See seccomp(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from advisor.kernel.system_calls import Architecture, this_architecture

# From linux/prctl.h, linux/seccomp.h and linux/sched.h.
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _RETURN_ERROR = 0x7FFF0000, 0x00050000
_PRIO_USER, _IOPRIO_WHO_USER = 2, 3
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE

_NEW_NAMESPACES = 0x7E020000
"""The flags of clone(2) that make a namespace of any kind."""

_X32_BIT = 0x40000000
"""Calls of the x32 ABI have numbers of their own from here on."""

# Offsets in struct seccomp_data; of an argument the lower half, of a little-endian machine.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _ARGUMENT_BYTES = 0, 4, 16, 8

# Classic BPF: load a word, jump if equal, if at least, if it has a bit in common, return.
_LOAD, _EQUAL, _AT_LEAST, _HAS_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

_REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
    "migrate_pages", "move_pages",
    "add_key", "request_key", "keyctl",
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr",
    "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    "bpf", "perf_event_open", "userfaultfd", "fanotify_init", "fanotify_mark", "syslog",
    "name_to_handle_at", "open_by_handle_at",
)  # fmt: skip

_MISSING = (
    # Rings make sockets and change modes without a call.
    "io_uring_setup",
    # Its flags lie behind a pointer, which no filter follows; the C library then calls clone.
    "clone3",
    # Memory that belongs to no process, outlives all of them, and that torch makes no use of.
    "shmget", "semget", "msgget", "mq_open", "memfd_secret",
    # One process may take all that the machine has.
    "io_setup",
)  # fmt: skip
"""Told to be absent, so that libraries do without."""

_PIDS_OF_OTHERS = (
    ("prlimit64", 0), ("sched_setaffinity", 0), ("sched_setparam", 0),
    ("sched_setscheduler", 0), ("sched_setattr", 0),
)  # fmt: skip
"""Calls on the process that an argument names, with the position of that argument."""

_MODES = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat",
    "utime", "utimes", "futimesat", "utimensat",
)  # fmt: skip
_ATTRIBUTES = (
    "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr",
    "fremovexattr", "removexattrat", "file_setattr",
)  # fmt: skip
_WATCHES = ("inotify_init", "inotify_init1")

_libc = ctypes.CDLL(None, use_errno=True)

Instruction = tuple[int, int, int, int]
"""Code, jump if so, jump if not, operand; jumps count the instructions that they pass over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """What a process may call beside what never does harm.

    Attributes:
        allow_network: Sockets of every kind; else local ones alone.
        has_own_pids: No process of others has a number here, so that calls which take one are
            left alone. Else they may name the process itself alone.
        has_own_files: Nothing of others can be named here, so that modes, owners, times and
            attributes of files may be changed, and files be watched. Landlock bounds none of it.
        allow_memory_files: memfd_create(2), where the kernel counts memory, or a driver asks.
    """

    allow_network: bool = False
    has_own_pids: bool = False
    has_own_files: bool = False
    allow_memory_files: bool = False


def can_filter() -> bool:
    """Return whether ``filter_calls`` knows this machine."""
    return this_architecture() is not None


def forbid_new_privileges() -> None:
    """Let nothing that this process runs have more rights than it has itself."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0)


def filter_calls(allowed: CallFilter) -> None:
    """Refuse all calls but those allowed to this thread and to what it starts, for good.

    Raises:
        OSError: The kernel does not filter, or the machine is of a kind that is not known here.
    """
    architecture = this_architecture()
    if architecture is None:
        raise OSError(errno.ENOSYS, f"No filter of system calls for {os.uname().machine}")
    program = _program(allowed, architecture, own_pid=os.getpid())
    packed = b"".join(
        struct.pack("HBBI", code, if_so, if_not, operand)
        for code, if_so, if_not, operand in program
    )
    code = ctypes.create_string_buffer(packed)
    # struct sock_fprog: a length and a pointer, aligned.
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    forbid_new_privileges()
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header)


def _program(
    allowed: CallFilter, architecture: Architecture, own_pid: int
) -> Sequence[Instruction]:
    refuse = _error(errno.EPERM)
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture.audit_number),
        refuse,  # 32-bit code.
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        refuse,
        *(
            instruction
            for name, rule in _rules(allowed, own_pid)
            if name in architecture.numbers
            for instruction in (
                (_EQUAL, 0, len(rule), architecture.numbers[name]),
                *rule,
            )
        ),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _rules(allowed: CallFilter, own_pid: int) -> Iterator[tuple[str, Sequence[Instruction]]]:
    """Yield calls and what is done with each: instructions that end with a return."""
    yield from ((name, [_error(errno.EPERM)]) for name in _REFUSED)
    yield from ((name, [_error(errno.ENOSYS)]) for name in _MISSING)
    yield "clone", _unless(_HAS_BIT, _NEW_NAMESPACES, 0, errno.EPERM)
    # Whoever cannot be looked into cannot be counted.
    # Room beyond a file's end is bounded by no limit on its size; the C library then writes zeros.
    yield "fallocate", _unless(_HAS_BIT, _KEEP_SIZE, 1, errno.EOPNOTSUPP)
    yield "prctl", _unless(_EQUAL, _PR_SET_DUMPABLE, 0, errno.EPERM)
    if not allowed.allow_network:
        yield "socket", _only([socket.AF_UNIX], 0, errno.EACCES)
    if not allowed.allow_memory_files:
        yield "memfd_create", [_error(errno.ENOSYS)]
    if not allowed.has_own_pids:
        own = [0, own_pid]
        yield from ((name, _only(own, at, errno.EPERM)) for name, at in _PIDS_OF_OTHERS)
        for name, user in (("setpriority", _PRIO_USER), ("ioprio_set", _IOPRIO_WHO_USER)):
            not_a_user = _unless(_EQUAL, user, 0, errno.EPERM)[:-1]
            yield name, [*not_a_user, *_only(own, 1, errno.EPERM)]
    if not allowed.has_own_files:
        # Answered as if it were done: copying and unpacking go on, with the modes that they have.
        yield from ((name, [_error(0)]) for name in _MODES)
        yield from ((name, [_error(errno.EOPNOTSUPP)]) for name in _ATTRIBUTES)
        yield from ((name, [_error(errno.ENOSYS)]) for name in _WATCHES)


def _error(number: int) -> Instruction:
    return (_RETURN, 0, 0, _RETURN_ERROR | number)


def _only(values: Sequence[int], argument: int, number: int) -> Sequence[Instruction]:
    """Return a rule that allows a call with one of some values, and refuses it with others."""
    # Each jumps over the tests after it and the error.
    tests = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_load(argument), *tests, _error(number), (_RETURN, 0, 0, _ALLOW)]


def _unless(test: int, value: int, argument: int, number: int) -> Sequence[Instruction]:
    """Return a rule that refuses a call whose argument passes a test, and allows others."""
    load = _load(argument)
    return [load, (test, 0, 1, value), _error(number), (_RETURN, 0, 0, _ALLOW)]


def _load(argument: int) -> Instruction:
    return (_LOAD, 0, 0, _FIRST_ARGUMENT + argument * _ARGUMENT_BYTES)


def _prctl(option: int, first: int, second: int | bytes) -> None:
    if isinstance(second, int):
        second = ctypes.c_ulong(second)  # type: ignore[assignment] # as wide as the kernel reads
    if _libc.prctl(option, ctypes.c_ulong(first), second, ctypes.c_ulong(0), ctypes.c_ulong(0)):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")
