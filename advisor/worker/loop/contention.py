"""How long processes have had processors, and how long they waited for those that others have."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

_NANOSECONDS_PER_S = 1e9
_ROOT = Path("/")
_THIS_PROCESS = ("self",)


def processor_wait_s(
    processes: Collection[int | str] = _THIS_PROCESS, root: Path = _ROOT
) -> float | None:
    """Return the seconds for which the threads there are have waited for a processor so far.

    Their sum, over the whole life of each: what matters is by how much it grows.

    Args:
        processes: Whose threads, by number; "self" is this process.
        root: Where the file system begins; another one in tests.

    Returns:
        Seconds; None where the kernel does not say (it must be Linux, with schedstats).
    """
    waits_ns = []
    for process in processes:
        for path in (root / f"proc/{process}/task").glob("*/schedstat"):
            try:
                # Nanoseconds run, nanoseconds waited to run, and how often it ran.
                _, waited_ns, _ = map(int, path.read_text(encoding="ascii").split())
            except (OSError, ValueError):
                continue  # The thread has ended.
            waits_ns.append(waited_ns)
    return sum(waits_ns) / _NANOSECONDS_PER_S if waits_ns else None


def processor_time_s(
    processes: Collection[int | str] = _THIS_PROCESS, root: Path = _ROOT
) -> float | None:
    """Return the seconds of processor time that processes have used so far.

    Those of all threads, also of ended ones, and of children that were waited for, such as a
    decoder that is started for each sample. In steps of a clock tick, 10 ms as a rule.

    Args:
        processes: By number; "self" is this process.
        root: Where the file system begins; another one in tests.

    Returns:
        Seconds; None for no process, and where the kernel does not say (it must be Linux).
    """
    ticks = 0
    for process in processes:
        try:
            text = (root / f"proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
            # After the name, which may hold anything, the state is field 3 of proc_pid_stat(5);
            # 14 to 17 are the times of the process in user and kernel mode, and of its children.
            ticks += sum(map(int, text.rpartition(")")[2].split()[11:15]))
        except (OSError, ValueError):
            return None
    return ticks / os.sysconf("SC_CLK_TCK") if processes else None
