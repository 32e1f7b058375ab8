"""What each degree of the sandbox holds: the table of docs/sandbox.md and ``bsadvise doctor``."""

from __future__ import annotations

from collections.abc import Mapping

OFF, LANDLOCK, BWRAP, NAMESPACES, AUTO = "off", "landlock", "bwrap", "namespaces", "auto"

WEAK = frozenset({OFF, LANDLOCK})
"""Under these a model file shares the daemon's user, processes and local sockets."""

_COLUMNS = (OFF, LANDLOCK, BWRAP, NAMESPACES)

_COUNTED = "counted, five times a second"

_BY_GROUP = "limited by the kernel where a control group is delegated, else " + _COUNTED

# By what is held, in the order of the columns.
_ROWS: Mapping[str, tuple[str, str, str, str]] = {
    "files": (
        "open",
        "listed paths alone",
        "other directories of users and data are not mounted; listed paths alone, with Landlock",
        "listed paths alone; nothing else is mounted",
    ),
    "size, mode and times of any file whose path is known": (
        "open",
        "**open**",
        "of what is mounted",
        "of what is mounted",
    ),
    "changes of modes, owners, times and attributes of files": (
        "open",
        "refused; a change of mode, owner or times is answered as if it were done",
        "as landlock",
        "in the worker's own directories alone",
    ),
    "network": ("open", "closed", "closed; a network of its own", "closed; a network of its own"),
    "local sockets": (
        "open",
        "**open, where file modes allow it**",
        "those of other directories are not mounted",
        "not mounted",
    ),
    "signals to other processes": (
        "open",
        "refused from Linux 6.12 on",
        "as landlock",
        "no other process is there",
    ),
    "limits, priorities, processors and memory of other processes": (
        "open",
        "refused",
        "refused",
        "no other process is there",
    ),
    "names, command lines and open descriptors' numbers of other processes": (
        "open",
        "**open**",
        "**open**",
        "not there, where /proc can be mounted",
    ),
    "user": (
        "the daemon's",
        "the daemon's; root keeps its way with files alone",
        "as landlock",
        "where the daemon is root, one of each worker's own, except in a private daemon",
    ),
    "keyrings, new namespaces, mounts, ptrace, bpf": ("open", "refused", "refused", "refused"),
    "/dev/shm": (  # noqa: S108 - the kernel's name of it
        "the machine's; files that were seen open are removed",
        "as off",
        "as off",
        "its own, limited by the kernel and removed with the worker",
    ),
    "memfd, System V shared memory and semaphores, message queues, asynchronous I/O": (
        "memfd is counted",
        "memfd with GPUs alone, where it is counted; the others refused",
        "as landlock",
        "as landlock",
    ),
    "memory, threads": (_BY_GROUP, _BY_GROUP, _BY_GROUP, _BY_GROUP),
    "temporary files": (
        _COUNTED,
        _COUNTED,
        _COUNTED,
        "in memory, limited by the kernel and removed with the worker",
    ),
    "checkpoints": (_COUNTED, _COUNTED, _COUNTED, _COUNTED),
    "processes that a worker leaves behind": (
        "found and ended",
        "found and ended",
        "found and ended",
        "ended by the kernel",
    ),
}


def describe(degree: str) -> list[str]:
    """Return what a degree holds, a line for each matter."""
    column = _COLUMNS.index(degree)
    return [f"{matter}: {held[column].replace('**', '')}" for matter, held in _ROWS.items()]


def markdown() -> str:
    """Return the table of all degrees in Markdown."""
    heads = " | ".join(f"`{degree}`" for degree in _COLUMNS)
    lines = [f"| | {heads} |", "|---" * (len(_COLUMNS) + 1) + "|"]
    lines += [f"| {matter} | {' | '.join(held)} |" for matter, held in _ROWS.items()]
    return "\n".join(lines)
