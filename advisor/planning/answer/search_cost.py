"""What a search took, counted from its log."""

from __future__ import annotations

from bsadvise.model.advice import Search
from bsadvise.model.commands import RunScript, RunStep, TimeSteps, TraceMemory, Train, Verify
from bsadvise.model.measurements import (
    Measurement,
    MemoryTrace,
    OutOfMemory,
    StepTimes,
)
from bsadvise.model.observation import Reference, ScriptRun

from advisor.planning.evidence.log_view import LogView

_PROBES = RunStep | TimeSteps | Verify | RunScript


def search(view: LogView, *, pruned_count: int = 0) -> Search:
    """Return what the log's measurements took.

    Args:
        view: The log.
        pruned_count: Trials that were not trained as far as they might have been.
    """
    return Search(
        wall_s=view.elapsed_s,
        trace_count=sum(
            isinstance(entry.command, TraceMemory) and not _was_run(entry) for entry in view.log
        ),
        probe_count=sum(
            isinstance(entry.command, _PROBES) or _was_run(entry) for entry in view.log
        ),
        probe_samples=sum(_probe_samples(entry) for entry in view.log),
        out_of_memory_count=sum(isinstance(entry.outcome, OutOfMemory) for entry in view.log),
        trial_count=len({command.trial_number for command, _ in view.entries(Train)}),
        pruned_count=pruned_count,
    )


def _was_run(entry: Measurement) -> bool:
    """Return whether real steps stood in for a trace."""
    if not isinstance(entry.command, TraceMemory):
        return False
    if isinstance(entry.outcome, MemoryTrace):
        return entry.outcome.was_run
    return isinstance(entry.outcome, OutOfMemory)  # Fake tensors have no limit.


def _probe_samples(entry: Measurement) -> int:
    match entry.command, entry.outcome:
        case RunStep(micro_batch_size=b, accumulation_steps=a), _:
            return b * (2 * a + 1)
        case TraceMemory(micro_batch_size=b, accumulation_steps=a), _ if _was_run(entry):
            return b * (2 * a + 1)
        case TimeSteps(micro_batch_size=b), StepTimes(step_times_s=times_s):
            return b * len(times_s)
        case Verify(micro_batch_size=b, accumulation_steps=a, step_count=steps), _:
            return b * (a * steps + 1)
        case RunScript(), ScriptRun(step_count=steps, setting=Reference(batch_size=size)):
            return size * steps
        case _:
            return 0
