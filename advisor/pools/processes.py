"""Looks at a tree of processes in /proc, at a cost that no training notices."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil


def children_of(pid: int) -> list[int]:
    """Return the children of a process; none when it has ended."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names alone, thousands of times
    except OSError:
        return []
    found: list[int] = []
    for task in tasks:
        try:
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
        except FileNotFoundError:
            if os.path.exists(f"/proc/{pid}/task/{task}"):  # noqa: PTH110 - as above
                return _children_by_search(pid)  # The kernel keeps no such lists.
        except OSError:
            continue
    return found


def parent_of(pid: int) -> int | None:
    """Return the parent of a process; None when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name, in parentheses, may hold anything.
    return int(stat.rpartition(b")")[2].split()[1])


def descendants_of(pids: Iterable[int]) -> Iterator[int]:
    """Yield processes and all that stems from them, parents first."""
    waiting = list(dict.fromkeys(pids))
    seen = set(waiting)
    for pid in waiting:
        yield pid
        new = [child for child in children_of(pid) if child not in seen]
        seen.update(new)
        waiting += new


def count_threads(pids: Iterable[int]) -> int:
    """Return how many threads processes have together, by the links of /proc's directories."""
    count = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            count += os.stat(f"/proc/{pid}/task").st_nlink - 2  # noqa: PTH116 - as above
    return count


def kill_all(pids: Iterable[int]) -> None:
    """Kill processes."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _children_by_search(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []
