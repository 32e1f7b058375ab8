"""What processes take of the machine's memory together, at a cost that no training notices."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_FRESH_S = 2.0
"""How long an exact figure is trusted while pages that processes share may come to be copied."""

_KIB = 1024
_FIELD = re.compile(rb"^(\w+):\s+(\d+) kB", re.MULTILINE)


class MemoryUsage:
    """Memory of one worker's processes: what the kernel cannot drop, pages and files in memory.

    Pages that forked processes share count once; but to find that out is slow, so that it is
    done only when the limit would be passed otherwise, or was the last time some seconds ago.
    Pages of mapped files do not count, since the kernel drops them when it needs room; the tables
    of all that is mapped do.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            now_s: Seconds since any one time.
        """
        self._now_s = now_s
        self._exact_bytes, self._bound_bytes, self._exact_at_s = 0, 0, float("-inf")

    def measure(self, pids: Sequence[int], files_bytes: int, limit_bytes: int) -> int:
        """Return what is taken, or an upper bound of it that does not exceed the limit.

        Args:
            pids: The processes.
            files_bytes: What files in memory take, mapped or not.
            limit_bytes: The limit.
        """
        bound_bytes = files_bytes + sum(map(_resident_bytes, pids))
        if bound_bytes <= limit_bytes:
            return bound_bytes
        now_s = self._now_s()
        grown_bytes = max(0, bound_bytes - self._bound_bytes)
        is_fresh = now_s - self._exact_at_s < _FRESH_S
        if is_fresh and self._exact_bytes + grown_bytes <= limit_bytes:
            return self._exact_bytes + grown_bytes
        shares = [_shares(pid) for pid in pids]
        private_bytes = sum(share[0] for share in shares)
        mapped_bytes = sum(share[1] for share in shares)
        # A file may be mapped: of the two figures of shared memory the larger holds the other.
        self._exact_bytes = private_bytes + max(mapped_bytes, files_bytes)
        self._bound_bytes, self._exact_at_s = bound_bytes, now_s
        return self._exact_bytes


def _resident_bytes(pid: int) -> int:
    fields = _fields(f"/proc/{pid}/status")
    return sum(fields.get(name, 0) for name in (b"RssAnon", b"RssShmem", b"VmSwap", b"VmPTE"))


def _shares(pid: int) -> tuple[int, int]:
    """Return a process's share of pages that it has to itself or since a fork, and of others."""
    fields = _fields(f"/proc/{pid}/smaps_rollup")
    if not fields:  # It has ended, or is not ours to look into.
        return _resident_bytes(pid), 0
    tables_bytes = _fields(f"/proc/{pid}/status").get(b"VmPTE", 0)  # Each process has its own.
    private_bytes = fields[b"Pss_Anon"] + fields.get(b"SwapPss", 0) + tables_bytes
    return private_bytes, fields[b"Pss_Shmem"]


def _fields(path: str) -> dict[bytes, int]:
    try:
        text = Path(path).read_bytes()
    except OSError:
        return {}
    return {name: int(size) * _KIB for name, size in _FIELD.findall(text)}
