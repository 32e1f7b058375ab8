"""Carries out commands for one job: a command in, an outcome out."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from pathlib import Path

from bsadvise.model.commands import (
    Command,
    CompareOrders,
    Evaluate,
    InspectTask,
    RangeTest,
    RunStep,
    TimeLoader,
    TimeSteps,
    TraceMemory,
    Train,
    Verify,
)
from bsadvise.model.device import Device
from bsadvise.model.measurements import Failed, Fault, FaultCode, Figures, Outcome

from advisor.messages import from_message
from advisor.pipe.v1 import pipe_pb2
from advisor.worker.commands.inspection import inspect_task
from advisor.worker.commands.memory_trace import trace_memory
from advisor.worker.commands.range_test import run_range_test
from advisor.worker.commands.shuffle_check import compare_orders
from advisor.worker.commands.step_runs import run_step, verify
from advisor.worker.commands.timing import time_loader, time_steps
from advisor.worker.commands.training import train
from advisor.worker.loop.checkpoints import Checkpoints
from advisor.worker.loop.evaluation import evaluate
from advisor.worker.loop.session import Workshop
from advisor.worker.loop.task import Task
from advisor.worker.loop.torch_device import Placement
from advisor.worker.user.hooks import Hooks, UserCodeFailed
from advisor.worker.user.model_file import forget_modules
from advisor.worker.user.oom import out_of_memory


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
        placement = Placement(device, limit_bytes)
        self._job = job
        self._hooks = Hooks(Path(job.source_dir).resolve(), job.entry_path, entering_hook)
        self._workshop = Workshop(Task(job, self._hooks), placement)
        self._has_traced = False
        self._checkpoints = Checkpoints(Path(job.checkpoint_dir).resolve(), placement.torch_device)

    def execute(self, command: Command) -> Outcome:
        """Carry out one command and return what came of it.

        Never raises: whatever the user's code does is an outcome, and so is a failure here.
        """
        outcome = self._attempt(command)
        if self._has_traced and _met_a_fake(outcome):
            # The user's code has kept a fake tensor from a trace, as a cache would.
            forget_modules(self._hooks.source_dir)
            self._workshop = Workshop(Task(self._job, self._hooks), self._workshop.placement)
            self._has_traced = False
            outcome = self._attempt(command)
        self._has_traced |= isinstance(command, TraceMemory)
        return outcome

    def _attempt(self, command: Command) -> Outcome:
        try:
            return self._carry_out(command)
        except UserCodeFailed as error:
            return Failed(fault=error.fault)
        except BaseException as error:  # noqa: BLE001 - the daemon must hear of anything
            return out_of_memory(error) or Failed(fault=_own_fault(error))
        finally:
            # Models sit in reference cycles; the next command must not find this one's.
            gc.collect()

    def _carry_out(self, command: Command) -> Figures:
        workshop = self._workshop
        match command:
            case InspectTask():
                return inspect_task(workshop)
            case TraceMemory():
                return trace_memory(workshop, command)
            case RunStep():
                return run_step(workshop, command)
            case TimeSteps():
                return time_steps(workshop, command)
            case TimeLoader():
                return time_loader(workshop, command)
            case Verify():
                return verify(workshop, command)
            case Train() | Evaluate() | RangeTest() | CompareOrders():
                return self._learn(command)

    def _learn(self, command: Train | Evaluate | RangeTest | CompareOrders) -> Figures:
        workshop = self._workshop
        match command:
            case Train():
                return train(workshop, self._checkpoints, command)
            case Evaluate():
                return evaluate(workshop, self._checkpoints, command)
            case RangeTest():
                return run_range_test(workshop, command)
            case CompareOrders():
                return compare_orders(workshop, command)


def _met_a_fake(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and "FakeTensor" in outcome.fault.message


def _own_fault(error: BaseException) -> Fault:
    return Fault(
        code=FaultCode.WORKER,
        message=f"{type(error).__name__}: {error}",
        traceback="".join(traceback.format_exception(error)),
    )
