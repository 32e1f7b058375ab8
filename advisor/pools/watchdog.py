"""Watches what a worker and its processes take of the machine, from outside.

Limits that a process sets for itself hold for it alone; what all of them take together, only
a process outside can read. The kernel's own killer would choose any process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from bsadvise.model.measurements import Failed, Fault, FaultCode, OutOfMemory
from bsadvise.model.units import format_bytes

from advisor.pools import disk_usage
from advisor.pools.cgroup import MOST_THREADS
from advisor.pools.disk_usage import Excess, find_excess
from advisor.pools.fork_server import ForkedProcess
from advisor.pools.memory_usage import MemoryUsage
from advisor.pools.open_files import (
    CannotCount,
    FileId,
    MemoryFiles,
    OpenFile,
    find_open_files,
    removed_bytes,
)
from advisor.pools.output import Output
from advisor.pools.processes import (
    children_of,
    count_threads,
    descendants_of,
    kill_all,
    parent_of,
)
from advisor.pools.resource_limits import Limits
from advisor.pools.shared_memory import SHARED_MEMORY, remove_shared_memory

INTERVAL_S = 0.2
"""How long memory may run away before it is seen; filling it goes at a gigabyte a second or two."""

_ELSEWHERE = "or write to a place that is not temporary before you ask"


class Watchdog:
    """Watches one worker.

    Attributes:
        verdict: What the worker did, once it has passed a limit; it is killed after that is set.
    """

    def __init__(
        self,
        process: ForkedProcess,
        checkpoint_dir: Path,
        limits: Limits,
        worker_pids: Callable[[], Collection[int] | None],
        output: Output,
    ) -> None:
        """Take note of whom to watch.

        Args:
            process: The worker.
            checkpoint_dir: Where it keeps checkpoints.
            limits: What it and its processes may take together.
            worker_pids: Returns all workers of its fork server; None while it is forking one.
            output: What it prints.
        """
        self.verdict: Failed | OutOfMemory | None = None
        self._process = process
        self._checkpoint_dir = checkpoint_dir
        self._memory = MemoryUsage()
        self._memory_files = MemoryFiles()
        self._pid = process.pid
        self._limits = limits
        self._worker_pids = worker_pids
        self._output = output
        self._known: set[int] = {process.pid}
        self._seen: set[int] = {process.pid}

    @cached_property
    def _parent(self) -> int:
        """The fork server, which is not the process that the daemon started where that wraps it."""
        return parent_of(self._pid) or self._pid

    async def watch(self) -> None:
        """Check at intervals, until the worker has passed a limit and is killed."""
        while self.verdict is None:
            await asyncio.sleep(INTERVAL_S)
            await asyncio.to_thread(self._check)

    def clean(self) -> None:
        """Remove the files in memory that the worker has left behind; for after its end."""
        remove_shared_memory(self._seen)
        self._memory_files.remove()

    def _check(self) -> None:
        pids = self._find_processes()
        self.verdict = self._judge(pids)
        if self.verdict is not None:
            # The group goes first and at once, so that it cannot fork ahead of its end.
            kill_all([-self._pid, *pids])
            kill_all(self._find_processes())
            return
        self._output.trim()  # Last, so that limits hold though it fails.

    def _find_processes(self) -> list[int]:
        """Return the worker's processes, also those that have lost their parents.

        The worker adopts these, and the fork server does where its code has turned that off. They
        are the worker's then if they were seen below it before, if they are in its session, or if
        there is no other worker. Else they are nobody's, and too many of them are ended. In a
        namespace of its own all stem from two.
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
        self._seen.update(pids)
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
        # The first of a namespace only waits, and lets nobody look into it.
        pids = [pid for pid in pids if pid != self._process.first_pid]
        if count_threads(pids) > MOST_THREADS:
            return _failed(
                f"The code started more than {MOST_THREADS:,} threads.",
                "Start fewer, or lower NUM_WORKERS.",
            )
        try:
            files = find_open_files(pids)
        except CannotCount as error:
            return _failed(str(error), error.fix)
        if limits.memory_bytes is not None:
            files_bytes = self._memory_files.count(files) + self._own_memory_bytes()
            taken_bytes = self._memory.measure(pids, files_bytes, limits.memory_bytes)
            if taken_bytes > limits.memory_bytes:
                return OutOfMemory(
                    message=f"The code took {format_bytes(taken_bytes)} of the machine's memory, "
                    f"of which a worker may take {format_bytes(limits.memory_bytes)}.",
                    is_host=True,
                )
        if limits.scratch_bytes is not None:
            return self._judge_disk(files, limits.scratch_bytes)
        return None

    def _judge_disk(self, files: dict[FileId, OpenFile], limit_bytes: int) -> Failed | None:
        match self._find_excess(files, limit_bytes):
            case None:
                return None
            case Excess.BYTES:
                return _failed(
                    f"The code wrote over {format_bytes(limit_bytes)} to disk.",
                    f"Write less, {_ELSEWHERE}; a daemon's worker_scratch_bytes sets the most.",
                )
            case Excess.ENTRIES:
                return _failed(
                    f"The code made more than {disk_usage.MOST_ENTRIES:,} temporary files "
                    "and checkpoints.",
                    f"Make fewer, {_ELSEWHERE}.",
                )
            case Excess.DEPTH:
                return _failed(
                    f"The code nested directories more than {disk_usage.MOST_DEPTH} deep.",
                    f"Nest them less, {_ELSEWHERE}.",
                )

    def _own_memory_bytes(self) -> int:
        """Return what lies in the directories that a worker with namespaces has in memory."""
        if self._process.first_pid is None:
            return 0
        paths = (str(SHARED_MEMORY), str(self._process.scratch_dir))
        return sum(_memory_of(self._pid, path) for path in paths)

    def _find_excess(self, files: dict[FileId, OpenFile], limit_bytes: int) -> Excess | None:
        directories = [self._process.scratch_dir, self._checkpoint_dir]
        printed = os.fstat(self._output.fileno())
        removed = removed_bytes(
            files, _devices_of(directories), besides=(printed.st_dev, printed.st_ino)
        )
        return find_excess(directories, limit_bytes, removed)


def _failed(message: str, fix: str) -> Failed:
    return Failed(fault=Fault(code=FaultCode.PROCESS_DIED, message=message, fix=fix))


def _memory_of(pid: int, path: str) -> int:
    """Return what files of a process's own directory in memory take.

    Until it has entered its namespaces, and where it has ended, it has none: what is found at the
    path is then the machine's.
    """
    own = f"/proc/{pid}/root{path}"
    try:
        if Path(own).stat().st_dev == Path(path).stat().st_dev:
            return 0
        usage = os.statvfs(own)
    except OSError:
        return 0
    return (usage.f_blocks - usage.f_bfree) * usage.f_frsize


def _devices_of(paths: Iterable[Path]) -> Iterator[int]:
    for path in paths:
        with contextlib.suppress(OSError):
            yield path.stat().st_dev
