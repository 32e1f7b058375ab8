"""Planners that measure what a list says, then answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bsadvise.model.advice import Advice, MemoryEstimate, MemoryPoint, Refusal, RefusalCode, Search
from bsadvise.model.commands import (
    Command,
    InspectTask,
    RecallAnswers,
    RunStep,
    TimeSteps,
    Train,
    Verify,
)
from bsadvise.model.device import Device
from bsadvise.model.measurements import (
    Failed,
    Log,
    MemoryParts,
    Outcome,
    Prior,
    StepRun,
    StepTimes,
    TrainRun,
    Verification,
)
from bsadvise.model.request import AdviceRequest

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.step import Commands, EstimatePlanner, EstimateStep, Plan, Planner
from advisor.ports.worker_pool import WorkerJob
from tests.support.builders import a_profile, a_refusal, an_advice

SCRIPT: tuple[Command, ...] = (
    InspectTask(time_limit_s=30.0),
    RunStep(time_limit_s=30.0, micro_batch_size=8),
    TimeSteps(time_limit_s=30.0, micro_batch_size=8, measure_s=1.0),
    Train(
        time_limit_s=30.0,
        micro_batch_size=8,
        accumulation_steps=2,
        learning_rate=0.1,
        step_count=4,
        evaluation_batch_size=8,
        save_checkpoint="reference",
    ),
    Verify(
        time_limit_s=30.0,
        micro_batch_size=8,
        accumulation_steps=2,
        learning_rate=0.1,
        step_count=2,
    ),
)


def answer(job: WorkerJob, command: Command) -> Outcome:
    """Return plausible figures for any command of ``SCRIPT``."""
    match command:
        case InspectTask():
            return a_profile()
        case RunStep():
            return StepRun(peak_bytes=1000 * command.micro_batch_size)
        case TimeSteps():
            return StepTimes(step_times_s=(0.1,), optimizer_times_s=(0.01,))
        case Train():
            return TrainRun(step_count=4, sample_count=64, train_losses=(1.0,), held_out_loss=0.5)
        case _:
            return Verification(step_count=2, peak_bytes=8000, step_times_s=(0.1,))


class ScriptedPlanner(Planner):
    """Asks for the commands of a script in turn; a failed one is refused with its fault.

    Args:
        script: The commands.
        ending: What follows the last; None for advice that tells how much was measured.
        prior: What each log teaches.
    """

    def __init__(
        self,
        script: tuple[Command, ...] = SCRIPT,
        ending: Advice | Refusal | None = None,
        prior: Prior | None = None,
    ) -> None:
        self._script = script
        self._ending = ending
        self._prior = prior

    def read(self, request: AdviceRequest, devices: Sequence[Device], log: Log) -> LogView:
        return LogView(request, tuple(devices), log)

    def plan(self, view: LogView, running: Sequence[Command] = (), capacity: int = 1) -> Plan:
        log = tuple(e for e in view.log if not isinstance(e.command, RecallAnswers))
        if log and isinstance(log[-1].outcome, Failed):
            return a_refusal(fault=log[-1].outcome.fault)
        begun = len(log) + len(running)
        if begun < len(self._script):
            return Commands(self._script[begun : begun + capacity])
        if running:
            return Commands()
        return self._ending or _advice(view.device, log)

    def prior_from(self, view: LogView) -> Prior | None:
        return self._prior

    def best_so_far(self, view: LogView) -> Advice | None:
        return _advice(view.device, view.log) if len(view.log) >= 2 else None


class ScriptedEstimatePlanner(EstimatePlanner):
    """Inspects, then answers; a task that cannot be inspected is refused."""

    def next_step(self, request: AdviceRequest, device: Device, log: Log) -> EstimateStep:
        if not log:
            return SCRIPT[0]
        outcome = log[-1].outcome
        if isinstance(outcome, Failed):
            return a_refusal(code=RefusalCode.MODEL_FILE, message="no task", fault=outcome.fault)
        return MemoryEstimate(
            device=device.name,
            budget_bytes=request.memory_limit_bytes or device.total_bytes,
            max_micro_batch_size=8,
            points=(MemoryPoint(micro_batch_size=8, peak_bytes=1000),),
            parts=MemoryParts(activation_bytes=1000),
            parts_micro_batch_size=8,
        )


def _advice(device: Device, log: Log) -> Advice:
    search = Search(wall_s=sum(entry.wall_s for entry in log), probe_count=len(log))
    return replace(an_advice(), device=device.name, search=search, fingerprint="")
