"""Which answers to a command a worker may give."""

from __future__ import annotations

from advisor.domain.commands import (
    Command,
    Evaluate,
    InspectTask,
    RunStep,
    TimeLoader,
    TimeSteps,
    TraceMemory,
    Train,
    Verify,
)
from advisor.domain.measurements import (
    Evaluation,
    Failed,
    LoaderTimes,
    MemoryTrace,
    Outcome,
    OutOfMemory,
    StepRun,
    StepTimes,
    TrainRun,
    Verification,
)
from advisor.domain.task import TaskProfile

_FIGURES: dict[type, type] = {
    InspectTask: TaskProfile,
    TraceMemory: MemoryTrace,
    RunStep: StepRun,
    TimeSteps: StepTimes,
    TimeLoader: LoaderTimes,
    Train: TrainRun,
    Evaluate: Evaluation,
    Verify: Verification,
}


def is_possible(command: Command, outcome: Outcome) -> bool:
    """Return whether a worker may give ``outcome`` for ``command``.

    Those are the command's own figures, a failure, and out of memory. That time ran out is
    for the daemon to say.
    """
    return isinstance(outcome, _FIGURES[type(command)] | Failed | OutOfMemory)
