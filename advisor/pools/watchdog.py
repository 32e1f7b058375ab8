"""Watches what a worker and its processes take of the machine, from outside.

Limits that a process sets for itself hold for it alone; what all of them take together, only
a process outside can read. The kernel's own killer would choose any process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from pathlib import Path

from bsadvise.model.measurements import Failed, Fault, FaultCode, OutOfMemory
from bsadvise.model.units import format_bytes

from advisor.pools.fork_server import ForkedProcess
from advisor.pools.output import Output
from advisor.pools.processes import children_of, descendants_of, kill_all, resident_bytes
from advisor.pools.resource_limits import Limits

INTERVAL_S = 0.2
"""How long memory may run away before it is seen; filling it goes at a gigabyte a second or two."""

_MOST_ENTRIES = 100_000
"""Files that are counted before a scratch directory is called full, whatever they hold."""


class Watchdog:
    """Watches one worker.

    Attributes:
        verdict: What the worker did, once it has passed a limit; it is killed after that is set.
    """

    def __init__(
        self,
        process: ForkedProcess,
        limits: Limits,
        worker_pids: Callable[[], Collection[int] | None],
        output: Output,
    ) -> None:
        """Take note of whom to watch.

        Args:
            process: The worker.
            limits: What it and its processes may take together.
            worker_pids: Returns all workers of its fork server; None while it is forking one.
            output: What it prints.
        """
        self.verdict: Failed | OutOfMemory | None = None
        self._process = process
        self._pid = process.pid
        self._limits = limits
        self._worker_pids = worker_pids
        self._output = output
        self._known: set[int] = {process.pid}

    @cached_property
    def _parent(self) -> int:
        """The fork server, which is not the process that the daemon started where that wraps it."""
        return _parent_of(self._pid) or self._pid

    async def watch(self) -> None:
        """Check at intervals, until the worker has passed a limit and is killed."""
        while self.verdict is None:
            await asyncio.sleep(INTERVAL_S)
            await asyncio.to_thread(self._check)

    def _check(self) -> None:
        self._output.trim()
        pids = self._find_processes()
        self.verdict = self._judge(pids)
        if self.verdict is not None:
            # The group goes first and at once, so that it cannot fork ahead of its end.
            kill_all([-self._pid, *pids])
            kill_all(self._find_processes())

    def _find_processes(self) -> list[int]:
        """Return the worker's processes, also those that have lost their parents.

        The fork server has adopted these. They are the worker's if they were seen below it
        before, if they are in its session, or if there is no other worker. Else they are
        nobody's, and too many of them are ended. In a namespace of its own all stem from two.
        """
        if self._process.first_pid is not None:
            return list(descendants_of([self._pid, self._process.first_pid]))
        adopted = children_of(self._parent)
        workers = self._worker_pids()
        orphans = [] if workers is None else [pid for pid in adopted if pid not in workers]
        own = (
            orphans
            if workers is not None and list(workers) == [self._pid]
            else [pid for pid in orphans if self._owns(pid)]
        )
        most = self._limits.process_count
        if most is not None and len(orphans) - len(own) > most:
            kill_all(descendants_of(pid for pid in orphans if pid not in own))
        pids = list(descendants_of([self._pid, *own]))
        self._known = set(pids)
        return pids

    def _owns(self, pid: int) -> bool:
        if pid in self._known:
            return True
        try:
            return os.getsid(pid) == self._pid
        except OSError:
            return False

    def _judge(self, pids: list[int]) -> Failed | OutOfMemory | None:
        limits = self._limits
        if limits.process_count is not None and len(pids) > limits.process_count:
            return _failed(
                f"The code started more than {limits.process_count} processes.",
                "Start fewer, or lower NUM_WORKERS; a daemon's worker_processes sets the most.",
            )
        if limits.memory_bytes is not None:
            taken_bytes = resident_bytes(pids, limits.memory_bytes, ancestor=self._parent)
            if taken_bytes > limits.memory_bytes:
                return OutOfMemory(
                    message=f"The code took {format_bytes(taken_bytes)} of the machine's memory, "
                    f"of which a worker may take {format_bytes(limits.memory_bytes)}.",
                    is_host=True,
                )
        if limits.scratch_bytes is not None and _is_above(
            self._process.scratch_dir, limits.scratch_bytes
        ):
            return _failed(
                f"The code wrote over {format_bytes(limits.scratch_bytes)} of temporary files.",
                "Write less, or to a place that is not temporary before you ask; a daemon's "
                "worker_scratch_bytes sets the most.",
            )
        return None


def _failed(message: str, fix: str) -> Failed:
    return Failed(fault=Fault(code=FaultCode.PROCESS_DIED, message=message, fix=fix))


def _parent_of(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name, in parentheses, may hold anything.
    return int(stat.rpartition(b")")[2].split()[1])


def _is_above(directory: Path, limit_bytes: int) -> bool:
    taken_bytes = 0
    for count, size_bytes in enumerate(_sizes(directory)):
        taken_bytes += size_bytes
        if taken_bytes > limit_bytes or count > _MOST_ENTRIES:
            return True
    return False


def _sizes(directory: Path) -> Iterator[int]:
    waiting = [str(directory)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:  # Removed, or closed to us.
            continue
        for entry in entries:
            try:
                yield entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
            except OSError:
                continue
