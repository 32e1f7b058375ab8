"""CPU contention: whether threads waited for a core while steps were timed."""

from __future__ import annotations

from collections.abc import Iterator

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import TimeSteps
from bsadvise.model.measurements import StepTimes
from bsadvise.model.units import format_seconds

from advisor.planning.evidence.log_view import LogView


def about_contention(view: LogView) -> Iterator[Caveat]:
    """Yield a caveat where threads waited long for a core; nothing where that is not known."""
    wait_s = steps_s = 0.0
    for _, times in view.figures(TimeSteps, StepTimes):
        if times.processor_wait_s is not None:
            wait_s += times.processor_wait_s
            steps_s += sum(times.step_times_s)
    if wait_s > view.tuning.throughput.contention.max_wait_share * steps_s:
        yield Caveat(
            code=CaveatCode.CPU_CONTENTION,
            text=f"CPU contention: in {format_seconds(steps_s)} of timed steps, threads waited "
            f"{format_seconds(wait_s)} for a core. Seconds and samples/s are those of a busy "
            "machine, and which batch looks fastest may be too.",
        )
