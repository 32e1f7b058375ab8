"""What a worker process does: it takes one job, then one command after another.

A worker is a child of the fork server. Its file descriptors are 0 to 2, of which the last two
are files that keep what user code prints, the pipe to the daemon, and a file for its stacks.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import socket
import sys
from collections.abc import Callable
from os import _exit, getpid
from pathlib import Path
from traceback import format_exc, print_exc
from typing import NoReturn, Protocol

from bsadvise.model.commands import Command
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.measurements import Failed, Fault, FaultCode, Outcome
from bsadvise.v1 import recommendation_pb2

from advisor.messages import from_message
from advisor.pipe.framing import PIPE_LOST_EXIT_CODE, PipeClosed, frame, receive
from advisor.pipe.unions import command_of, outcome_message
from advisor.pipe.v1 import pipe_pb2
from advisor.worker.process.limits import confine_worker, limit_resources
from advisor.worker.process.sandbox import enter_sandbox
from advisor.worker.process.scratch import use_scratch
from advisor.worker.process.stacks import write_stacks
from advisor.worker.scripts.main_thread import MAIN_THREAD

_PIPE_FD = 3
_STACKS_FD = 4
_MAX_TEXT_CHARACTERS = 8192
_IMPOSSIBLE = "What was measured cannot be"


class Executor(Protocol):
    """Carries out commands; ``advisor.worker.commands.execution.Worker`` is the real one."""

    def execute(self, command: Command) -> Outcome:
        """Carry out one command. Faults of user code are outcomes, not exceptions."""


ExecutorFactory = Callable[[pipe_pb2.Job, Callable[[str], None]], Executor]
"""Makes an executor from its job and from what it is to call when it enters a hook."""


def run_worker(
    make_executor: ExecutorFactory,
    fds: list[int],
    enter_namespaces: Callable[[], None],
    parent_pid: int,
    scratch_dir: Path,
) -> NoReturn:
    """Be a worker until the pipe closes; to be called in the child of a fork.

    Args:
        make_executor: Makes what carries out the commands.
        fds: The pipe, and where standard output, standard error and stacks go.
        enter_namespaces: Enters those that were made for this worker.
        parent_pid: The fork server's process id, as this process sees it.
        scratch_dir: Where temporary files go.
    """
    exit_code = 1
    try:
        enter_namespaces()
        confine_worker(parent_pid)
        _arrange_descriptors(*fds)
        serve(socket.socket(fileno=_PIPE_FD), make_executor, scratch_dir)
        exit_code = 0
    except SystemExit as error:
        exit_code = _exit_code(error)
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        print_exc()
    finally:
        _exit_now(exit_code)


def serve(sock: socket.socket, make_executor: ExecutorFactory, scratch_dir: Path) -> None:
    """Answer commands from a pipe until it closes."""
    pipe = _Pipe(sock)
    try:
        job = pipe.receive().job
        try:
            _prepare(job, scratch_dir)
        except OSError as error:
            executor: Executor = _Refusing(error)
        else:
            executor = make_executor(job, pipe.enter_hook)

        def answer() -> None:
            while True:
                pipe.send(_carry_out(executor, pipe.receive().command))

        if job.entry_kind == recommendation_pb2.ENTRY_KIND_SCRIPT:
            # A script needs this thread, and stays in it from one command to the next.
            MAIN_THREAD.lend(lambda: _exit_after(answer))
        else:
            answer()
    except PipeClosed:
        return


def _exit_after(answer: Callable[[], None]) -> NoReturn:
    """Answer commands in a thread beside the main one, and end the process with it."""
    exit_code = 1
    try:
        answer()
    except PipeClosed:
        exit_code = 0
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        print_exc()
    finally:
        _exit_now(exit_code)


def _exit_now(exit_code: int) -> NoReturn:
    # Neither the fork server's stack nor user code's exit handlers may run.
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    _exit(exit_code)


class _Pipe:
    """The worker's end of the pipe."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pid = getpid()

    def receive(self) -> pipe_pb2.ToWorker:
        return receive(self._sock, pipe_pb2.ToWorker())

    def enter_hook(self, hook: str) -> None:
        self.send(pipe_pb2.FromWorker(entering_hook=pipe_pb2.EnteringHook(hook=hook)))

    def send(self, message: pipe_pb2.FromWorker) -> None:
        if getpid() != self._pid:  # User code forked and let its child return.
            _exit(0)
        try:
            self._sock.sendall(frame(message))
        except OSError:
            # Raising would pass through user code, which may catch it.
            _exit(PIPE_LOST_EXIT_CODE)


class _Refusing:
    """Stands in for an executor where user code cannot be confined as it should be."""

    def __init__(self, error: OSError) -> None:
        self._message = f"The model file was not run, since it could not be confined: {error}."

    def execute(self, _: Command) -> Outcome:
        fix = "Start the daemon with another --sandbox, or look into its kernel."
        return Failed(fault=Fault(code=FaultCode.WORKER, message=self._message, fix=fix))


def _carry_out(executor: Executor, numbered: pipe_pb2.NumberedCommand) -> pipe_pb2.FromWorker:
    command_id = numbered.command_id
    try:
        outcome = executor.execute(command_of(numbered))
        try:
            answer = pipe_pb2.FromWorker(outcome=outcome_message(command_id, outcome))
        except ValueError as error:  # A time that is no number, or a sum beyond 64 bits.
            fault = Fault(code=FaultCode.MEASUREMENT, message=f"{_IMPOSSIBLE}: {error}")
            return pipe_pb2.FromWorker(outcome=outcome_message(command_id, Failed(fault=fault)))
        frame(answer)
    except Exception as error:  # noqa: BLE001 - the daemon is told, and ends this process
        fault = Fault(
            code=FaultCode.WORKER,
            message=f"bsadvise itself failed (please report it): {type(error).__name__}: {error}",
            traceback=format_exc()[-_MAX_TEXT_CHARACTERS:],
        )
        return pipe_pb2.FromWorker(outcome=outcome_message(command_id, Failed(fault=fault)))
    return answer


def _prepare(job: pipe_pb2.Job, scratch_dir: Path) -> None:
    """Set what user code finds around it, before anything touches a GPU.

    Raises:
        OSError: The process cannot be confined.
    """
    device = from_message(job.device, Device)
    _show_only(device)
    sys.argv = [job.entry_path]
    is_confined = job.confinement.HasField("sandbox")
    use_scratch(scratch_dir, is_confined=is_confined)
    limit_resources(job.confinement)
    if is_confined:
        sandbox = job.confinement.sandbox
        if sandbox.replace_home:
            os.environ["HOME"] = str(scratch_dir)
        enter_sandbox(sandbox, scratch_dir, Path(job.checkpoint_dir), Path(job.source_dir))


def _show_only(device: Device) -> None:
    """Hide every GPU but the job's from what is yet to touch CUDA or HIP in this process."""
    kind = device.kind if device.present else DeviceKind.CPU
    # A UUID stays the same card whatever the order; empty hides every card. HIP passes over an
    # empty list, and reads CUDA's where it has none of its own.
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ["CUDA_VISIBLE_DEVICES"] = device.device_id if kind is DeviceKind.CUDA else ""
    os.environ["HIP_VISIBLE_DEVICES"] = "-1"
    if kind is DeviceKind.ROCM:
        os.environ["HIP_VISIBLE_DEVICES"] = device.device_id.removeprefix("rocm:")
        del os.environ["CUDA_VISIBLE_DEVICES"]


def _arrange_descriptors(pipe_fd: int, stdout_fd: int, stderr_fd: int, stacks_fd: int) -> None:
    os.dup2(stdout_fd, 1)
    os.dup2(stderr_fd, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for fd, number in ((pipe_fd, _PIPE_FD), (stacks_fd, _STACKS_FD)):
        os.dup2(fd, number, inheritable=False)
    for fd in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if fd > _STACKS_FD:
            with contextlib.suppress(OSError):  # That of the listing itself is closed by now.
                os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # By lines: what is printed before a crash must not be lost in a buffer.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    faulthandler.enable()
    write_stacks(_STACKS_FD, _PIPE_FD)


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    sys.stderr.write(f"{error.code}\n")
    return 1
