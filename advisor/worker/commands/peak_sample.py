"""Finds the sample with which a step takes the most memory, where that need not be the longest."""

from __future__ import annotations

from time import perf_counter

from bsadvise.model.commands import InspectTask, TraceMemory

from advisor.worker.commands.memory_trace import trace_memory
from advisor.worker.loop.session import Session

_TRACED_SAMPLES = 16
"""Samples of a batch: in a few, what the optimizer takes may be more than what they do."""

_MOST_TIME_SHARE = 0.2
"""Share of the command's seconds after which no further sample is traced. Rule of thumb."""


def peak_sample(session: Session, command: InspectTask) -> int | None:
    """Return the index of a sample that takes more than the longest; None where none is known to.

    Only those that are largest in a part are traced, since most data sets have none.
    """
    candidates = session.task.data.largest_in_part()
    if not candidates:
        return None
    end_s = perf_counter() + _MOST_TIME_SHARE * command.time_limit_s
    largest, most_bytes = None, 0
    try:
        for sample in (None, *candidates):
            peak_bytes = _peak_bytes(session, command, sample)
            if peak_bytes > most_bytes:
                largest, most_bytes = sample, peak_bytes
            if perf_counter() > end_s:
                break
    except Exception:  # noqa: BLE001 - the memory stage will meet it, and say it
        return None
    return largest


def _peak_bytes(session: Session, command: InspectTask, sample: int | None) -> int:
    trace = trace_memory(
        session,
        TraceMemory(
            time_limit_s=command.time_limit_s, micro_batch_size=_TRACED_SAMPLES, sample=sample
        ),
    )
    return max(trace.peak_bytes, trace.evaluation_peak_bytes)
