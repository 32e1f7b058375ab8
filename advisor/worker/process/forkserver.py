"""The fork server: has everything imported that a worker needs, and forks one on request.

A worker so begun costs some ten milliseconds, one that imports torch for itself seconds. The
server itself never runs user code, never initialises CUDA, which does not survive a fork, and
has no threads of its own.

    daemon --ForkRequest + 3 descriptors--> fork server --fork--> worker
           <----------Forked, Exited-------

It ends when the daemon's end of the control socket closes, and takes every process with it:
the workers, what they started, and what that has cut loose from them.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import os
import selectors
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from advisor.kernel.removal import remove_tree
from advisor.pipe.framing import PipeClosed, frame, receive_fork_request
from advisor.pipe.v1 import pipe_pb2
from advisor.worker.process.enclosure import Enclosure, Enclosures, number_outside
from advisor.worker.process.limits import adopt_orphans
from advisor.worker.process.main import ExecutorFactory, run_worker
from advisor.worker.process.scratch import make_scratch

_OUT_OF_SIGHT = 0
"""The number of a parent in another namespace, as its child sees it."""

_KILL_WAIT_S = 5.0
"""How long to wait for killed processes; a driver can hold one in the kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worker:
    worker_id: int
    pid: int
    pidfd: int
    scratch_dir: Path
    enclosure: Enclosure | None


class ForkServer:
    """Forks workers and reports their ends.

    No PDEATHSIG ties it to the daemon: killed at once it could not end what its workers have
    started. The control socket closes with the daemon however that ends.
    """

    def __init__(
        self,
        control: socket.socket,
        make_executor: ExecutorFactory,
        enclosures: Enclosures | None = None,
    ) -> None:
        """Note what to work with.

        Args:
            control: Where requests come from.
            make_executor: Makes what carries out a worker's commands.
            enclosures: Makes the namespaces of workers; None where they have none. This process
                is then the first of its own, and all that comes from it ends with it.
        """
        self._control = control
        self._make_executor = make_executor
        self._enclosures = enclosures
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}

    def serve(self) -> None:
        """Fork and reap until the control socket closes, then end every process."""
        adopt_orphans()
        self._selector.register(self._control, selectors.EVENT_READ)
        # Objects made so far are never looked at again, so their pages stay shared.
        gc.collect()
        gc.freeze()
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.fileobj is self._control:
                        self._fork()
                    else:
                        self._reap(key.data)
        except (PipeClosed, ConnectionError):
            return
        finally:
            workers = list(self._workers.values())
            for worker in workers:
                _kill_group(worker.pid)
            self._workers.clear()
            if self._enclosures is None:  # Else they end with this process.
                self._end_orphans()
            for worker in workers:
                if reason := remove_tree(worker.scratch_dir):
                    print(f"not removed: {worker.scratch_dir}: {reason}", flush=True)  # noqa: T201

    def _fork(self) -> None:
        request, fds = receive_fork_request(self._control)
        scratch_dir: Path | None = None
        enclosure: Enclosure | None = None
        pid: int | None = None
        try:
            scratch_dir = make_scratch()
            enclosure = self._enclosures.take() if self._enclosures is not None else None
            pid = self._fork_worker(fds, enclosure, scratch_dir)
            pidfd = os.pidfd_open(pid)
        except OSError:  # No more processes, descriptors or memory for one: said, and survived.
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            if enclosure is not None:
                enclosure.end(_KILL_WAIT_S)
            if scratch_dir is not None:
                remove_tree(scratch_dir)
            self._report(exited=pipe_pb2.Exited(worker_id=request.worker_id, exit_code=1))
            return
        finally:
            for fd in fds:
                os.close(fd)
        worker = _Worker(
            worker_id=request.worker_id,
            pid=pid,
            pidfd=pidfd,
            scratch_dir=scratch_dir,
            enclosure=enclosure,
        )
        self._workers[pid] = worker
        self._selector.register(worker.pidfd, selectors.EVENT_READ, worker)
        self._report(forked=_forked(worker))
        if self._enclosures is not None:
            with contextlib.suppress(OSError):  # The next request tries again, and says so.
                self._enclosures.prepare()

    def _fork_worker(self, fds: list[int], enclosure: Enclosure | None, scratch_dir: Path) -> int:
        if self._enclosures is None or enclosure is None:
            server_pid = os.getpid()
            pid = os.fork()
            enter_namespaces: Callable[[], None] = _stay
        else:
            server_pid = _OUT_OF_SIGHT
            pid = self._enclosures.fork_into(enclosure)
            enter_namespaces = functools.partial(self._enclosures.join, enclosure)
        if pid == 0:
            run_worker(self._make_executor, fds, enter_namespaces, server_pid, scratch_dir)
        return pid

    def _reap(self, worker: _Worker) -> None:
        # Until the leader is waited for, its number cannot become another process's.
        _kill_group(worker.pid)
        _, status = os.waitpid(worker.pid, 0)
        self._selector.unregister(worker.pidfd)
        os.close(worker.pidfd)
        del self._workers[worker.pid]
        if worker.enclosure is not None:
            worker.enclosure.end(_KILL_WAIT_S)
        else:
            self._end_orphans()
        self._report(
            exited=pipe_pb2.Exited(
                worker_id=worker.worker_id,
                exit_code=os.waitstatus_to_exitcode(status),
                scratch_left=remove_tree(worker.scratch_dir) or "",
            )
        )

    def _end_orphans(self) -> None:
        """Kill what workers that have ended left behind, and what that left behind.

        A worker adopts its own orphans while it lives, so that those here are nobody's.
        """
        this = psutil.Process()
        while orphans := [c for c in this.children() if c.pid not in self._workers]:
            for orphan in orphans:
                with contextlib.suppress(psutil.NoSuchProcess):
                    orphan.kill()
            _, alive = psutil.wait_procs(orphans, timeout=_KILL_WAIT_S)
            if alive:
                return  # The next call finds them again.

    def _report(
        self, *, forked: pipe_pb2.Forked | None = None, exited: pipe_pb2.Exited | None = None
    ) -> None:
        self._control.sendall(frame(pipe_pb2.FromForkServer(forked=forked, exited=exited)))


def main(make_executor: ExecutorFactory) -> None:
    """Run a fork server on the control socket that the command line names."""
    parser = argparse.ArgumentParser(description="Forks worker processes for the daemon.")
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--namespaces", choices=("own-network", "open-network"))
    arguments = parser.parse_args()
    control = socket.socket(fileno=arguments.control_fd)
    enclosures = None
    if arguments.namespaces is not None:
        enclosures = Enclosures(allow_network=arguments.namespaces == "open-network")
    ForkServer(control, make_executor, enclosures).serve()


def _stay() -> None:
    """Remain in the namespaces of the fork server."""


def _forked(worker: _Worker) -> pipe_pb2.Forked:
    """Return what the daemon is told of a worker, with the numbers that it knows processes by."""
    return pipe_pb2.Forked(
        worker_id=worker.worker_id,
        pid=number_outside(worker.pidfd),
        scratch_dir=str(worker.scratch_dir),
        first_pid=number_outside(worker.enclosure.pidfd) if worker.enclosure else 0,
    )


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
