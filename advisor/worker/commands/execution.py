"""Carries out commands for one job: a command in, an outcome out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from gc import collect
from pathlib import Path

from bsadvise.model.commands import (
    Command,
    CompareOrders,
    Evaluate,
    InspectTask,
    ObserveScript,
    RangeTest,
    RunScript,
    RunStep,
    TimeLoader,
    TimeSteps,
    TraceMemory,
    Train,
    Verify,
)
from bsadvise.model.device import Device
from bsadvise.model.measurements import Failed, Fault, Figures, Outcome
from bsadvise.model.task import TaskProfile

from advisor.messages import from_message
from advisor.pipe.v1 import pipe_pb2
from advisor.worker.commands.evaluation import evaluate
from advisor.worker.commands.inspection import inspect_task
from advisor.worker.commands.memory_trace import trace_memory
from advisor.worker.commands.range_test import run_range_test
from advisor.worker.commands.shuffle_check import compare_orders
from advisor.worker.commands.step_runs import run_step, verify
from advisor.worker.commands.timing import time_loader, time_steps
from advisor.worker.commands.training import train
from advisor.worker.entries.command import CommandTask
from advisor.worker.entries.registry import make_task
from advisor.worker.entries.script import ScriptTask
from advisor.worker.loop.checkpoints import Checkpoints
from advisor.worker.loop.session import Session
from advisor.worker.loop.torch_device import TorchDevice
from advisor.worker.user.diagnosis import explain, own_fault
from advisor.worker.user.hooks import UserCodeFailed
from advisor.worker.user.model_file import forget_modules
from advisor.worker.user.oom import out_of_memory
from advisor.worker.user.ownership import Owner, owner_of
from advisor.worker.user.warned import UserWarnings


class Worker:
    """Carries out commands for one job, in the process that it is made in.

    The process must serve no other job: loading the user's file changes its working directory
    and its module path.
    """

    def __init__(self, job: pipe_pb2.Job, entering_hook: Callable[[str], None]) -> None:
        """Take a job. Runs none of the user's code yet.

        Args:
            job: The job.
            entering_hook: Called with a hook's name before it is run.
        """
        device = from_message(job.device, Device)
        limit_bytes = job.memory_limit_bytes if job.HasField("memory_limit_bytes") else None
        self._job = job
        self._entering_hook = entering_hook
        self._device = TorchDevice(device, limit_bytes)
        self._session = self._new_session()
        self._has_traced = False
        self._checkpoints = Checkpoints(Path(job.checkpoint_dir).resolve())

    def _new_session(self) -> Session:
        return Session(make_task(self._job, self._entering_hook), self._device)

    def execute(self, command: Command) -> Outcome:
        """Carry out one command and return what came of it.

        Never raises: whatever the user's code does is an outcome, and so is a failure here.
        """
        outcome = self._attempt(command)
        if self._has_traced and _met_a_fake_tensor(outcome):
            # The user's code has kept a fake tensor from a trace, as a cache would.
            forget_modules(Path(self._job.source_dir).resolve())
            self._session = self._new_session()
            self._has_traced = False
            outcome = self._attempt(command)
        self._has_traced |= isinstance(command, TraceMemory | InspectTask)
        return outcome

    def _attempt(self, command: Command) -> Outcome:
        try:
            return self._carry_out(command)
        except UserCodeFailed as error:
            return Failed(fault=error.fault)
        except BaseException as error:  # noqa: BLE001 - the daemon must hear of anything
            return out_of_memory(error) or Failed(fault=self._fault_of(error))
        finally:
            # Models sit in reference cycles; the next command must not find this one's.
            collect()

    def _fault_of(self, error: BaseException) -> Fault:
        """Return the fault of an exception that came out of no hook: whose it is, frames tell."""
        source_dir = Path(self._job.source_dir).resolve()
        if owner_of(error, source_dir) is Owner.USER:
            return explain(error, None, source_dir, self._job.entry_path)
        return own_fault(error)

    def _carry_out(self, command: Command) -> Outcome:
        session = self._session
        match command:
            case ObserveScript() | RunScript():
                return _run_script(session, command)
            case InspectTask():
                return self._inspect(session, command)
            case TraceMemory():
                return trace_memory(session, command)
            case RunStep():
                return run_step(session, command)
            case TimeSteps():
                return time_steps(session, command)
            case TimeLoader():
                return time_loader(session, command)
            case Verify():
                return verify(session, command)
            case Train() | Evaluate() | RangeTest() | CompareOrders():
                return self._train(command)

    def _inspect(self, session: Session, command: InspectTask) -> TaskProfile:
        warned = UserWarnings(Path(self._job.source_dir).resolve())
        with warned.noted():
            profile = inspect_task(session, command)
        return replace(profile, caveats=(*profile.caveats, *warned.caveats()))

    def _train(self, command: Train | Evaluate | RangeTest | CompareOrders) -> Figures:
        session = self._session
        match command:
            case Train():
                return train(session, self._checkpoints, command)
            case Evaluate():
                return evaluate(session, self._checkpoints, command)
            case RangeTest():
                return run_range_test(session, command)
            case CompareOrders():
                return compare_orders(session, command)


def _run_script(session: Session, command: ObserveScript | RunScript) -> Outcome:
    if not isinstance(session.task, ScriptTask | CommandTask):
        raise TypeError("only a script can be run as it is")
    if isinstance(command, ObserveScript):
        return session.task.observe(command)
    return session.task.run(command, session.device)


def _met_a_fake_tensor(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and "FakeTensor" in outcome.fault.message
