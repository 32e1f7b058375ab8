"""Numbers of the system calls that a filter names, and of what tells their processors apart."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A kind of processor as filters of system calls know it.

    Attributes:
        audit_number: AUDIT_ARCH_… of linux/audit.h.
        numbers: The number of each call that the kernel has for it, by name.
    """

    audit_number: int
    numbers: MappingProxyType[str, int]


_SINCE_5_1 = {
    "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "fspick": 433, "clone3": 435, "pidfd_getfd": 438, "process_madvise": 440,
    "mount_setattr": 442, "memfd_secret": 447, "fchmodat2": 452, "setxattrat": 463,
    "removexattrat": 466, "open_tree_attr": 467, "file_setattr": 469,
}  # fmt: skip
"""Since Linux 5.1 a new call has one number for all kinds of processors."""

_X86_64 = {
    "shmget": 29, "socket": 41, "clone": 56, "semget": 64, "msgget": 68, "chmod": 90, "fchmod": 91,
    "chown": 92, "fchown": 93, "lchown": 94, "ptrace": 101, "syslog": 103, "utime": 132,
    "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "pivot_root": 155,
    "prctl": 157, "chroot": 161, "mount": 165, "umount2": 166, "setxattr": 188,
    "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198,
    "fremovexattr": 199, "sched_setaffinity": 203, "io_setup": 206, "utimes": 235, "mq_open": 240,
    "add_key": 248, "request_key": 249, "keyctl": 250, "ioprio_set": 251, "inotify_init": 253,
    "migrate_pages": 256, "fchownat": 260, "futimesat": 261, "fchmodat": 268, "unshare": 272,
    "move_pages": 279, "utimensat": 280, "inotify_init1": 294, "perf_event_open": 298,
    "fanotify_init": 300, "fanotify_mark": 301, "prlimit64": 302, "name_to_handle_at": 303,
    "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "kcmp": 312, "sched_setattr": 314, "memfd_create": 319, "bpf": 321, "userfaultfd": 323,
    "fallocate": 285, **_SINCE_5_1,
}  # fmt: skip

_AARCH64 = {
    "io_setup": 0, "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14,
    "lremovexattr": 15, "fremovexattr": 16, "inotify_init1": 26, "ioprio_set": 30,
    "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "fchmod": 52, "fchmodat": 53,
    "fchownat": 54, "fchown": 55, "utimensat": 88, "unshare": 97, "syslog": 116, "ptrace": 117,
    "sched_setparam": 118, "sched_setscheduler": 119, "sched_setaffinity": 122,
    "setpriority": 140, "prctl": 167, "fallocate": 47, "mq_open": 180, "msgget": 186,
    "semget": 190, "shmget": 194, "socket": 198, "add_key": 217, "request_key": 218,
    "keyctl": 219, "clone": 220, "migrate_pages": 238, "move_pages": 239,
    "perf_event_open": 241, "prlimit64": 261, "fanotify_init": 262, "fanotify_mark": 263,
    "name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270,
    "process_vm_writev": 271, "kcmp": 272, "sched_setattr": 274, "memfd_create": 279,
    "bpf": 280, "userfaultfd": 282, **_SINCE_5_1,
}  # fmt: skip

_ARCHITECTURES = {
    "x86_64": Architecture(audit_number=0xC000003E, numbers=MappingProxyType(_X86_64)),
    "aarch64": Architecture(audit_number=0xC00000B7, numbers=MappingProxyType(_AARCH64)),
}


def this_architecture() -> Architecture | None:
    """Return what is known of this machine's processor; None where nothing is."""
    return _ARCHITECTURES.get(platform.machine())
