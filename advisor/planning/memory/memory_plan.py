"""The memory stage: what to trace, and what to run, until the largest micro-batch is known."""

from __future__ import annotations

from bsadvise.model.advice import Refusal
from bsadvise.model.commands import RunStep, TraceMemory
from bsadvise.model.device import DeviceKind
from bsadvise.model.measurements import MemoryTrace

from advisor.estimators.memory_curve import MemoryCurve
from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size
from advisor.planning.evidence.refusals import refuse, refuse_no_fit
from advisor.planning.memory.memory_model import MemoryModel, is_plain
from advisor.planning.tuning.memory import MemoryPlanTuning


def next_trace(view: LogView) -> TraceMemory | Refusal | None:
    """Return the next size to trace; None when the largest that fits is known.

    Where memory, not the data, bounds the batch, steps that accumulate are followed too.
    """
    for command, entry in view.entries(TraceMemory):
        if is_plain(command) and not isinstance(entry.outcome, MemoryTrace):
            traced = view.model(MemoryModel).traces
            return None if traced else refuse(command, entry.outcome)
    model = view.model(MemoryModel)
    size = _next_size(view, model.curve, view.tuning.estimators.memory_curve.first_sizes)
    if size is not None:
        return trace_of(view, size)
    fits = model.curve.largest_fit(model.budget_bytes)
    if fits == 0:
        needed = model.curve.peak_bytes(min(model.traces))
        return refuse_no_fit(needed, model.budget_bytes, view.device.name)
    if memory_bounds_the_batch(view, fits) and not model.is_traced_by_runs:
        size = _next_size(view, model.accumulating_curve, (1, fits))
        if size is not None:
            return trace_of(view, size, accumulation_steps=2)
    return None


def _next_size(view: LogView, curve: MemoryCurve, first: tuple[int, int]) -> int | None:
    model, tuning = view.model(MemoryModel), view.tuning.memory.plan
    budget_bytes = model.traced_budget_bytes
    is_time_up = view.spent(view.tuning.evidence.seconds.max_tracing_share)
    if not curve.points:
        return first[0]
    if model.is_traced_by_runs:
        # The reference recipe's batch is trained on in any case.
        is_late = is_time_up and len(curve.points) > 1 and max(curve.points) >= _reference(view)
        return None if is_late else _next_real_size(curve, budget_bytes, tuning)
    if len(curve.points) == 1 and curve.largest_fit(budget_bytes) and first[1] not in curve.points:
        return first[1]
    is_late = is_time_up and len(curve.points) >= tuning.min_traces
    if curve.largest_fit(budget_bytes) and (is_late or len(curve.points) >= tuning.max_traces):
        return None
    return curve.next_size(budget_bytes)


def _reference(view: LogView) -> int:
    return reference_batch_size(view) // view.request.world_size


def _next_real_size(
    curve: MemoryCurve, budget_bytes: float, tuning: MemoryPlanTuning
) -> int | None:
    """Return the next size to run; None when the largest that fits is near enough.

    Never more than a part of what the last line allows, which lies below the curve: what is run to
    learn what fits must fit.
    """
    known = max(curve.points)
    size = min(tuning.real_growth * known, curve.largest_fit(budget_bytes) // tuning.real_divisor)
    if size > known:
        return size
    return known + 1 if len(curve.points) == 1 and curve.points[known] < budget_bytes else None


def memory_bounds_the_batch(view: LogView, fits: int) -> bool:
    """Return whether a batch may be wanted that needs more than ``fits`` samples at a time."""
    return fits < _largest_wanted(view)


def _largest_wanted(view: LogView) -> int:
    """Return the largest share of an effective batch that one device may have to hold."""
    profile, request, reference = view.profile, view.request, view.tuning.evidence.reference
    wanted = request.effective_batch_size or profile.reference_batch_size or reference.batch_size
    if request.effective_batch_size is None and profile.dataset_size is not None:
        wanted = max(wanted, profile.dataset_size // reference.min_batches_per_epoch)
    return wanted // request.world_size


def next_calibration(view: LogView) -> RunStep | None:
    """Return the small run that shows how a card differs from the prediction; None if none.

    Before anything larger is run: what its libraries take in addition to PyTorch's tensors is in
    no trace, and the largest size must not be the first to need it.
    """
    if not view.device.present or view.device.kind is DeviceKind.CPU:
        return None
    if list(view.entries(RunStep)):
        return None
    divisor = view.tuning.memory.plan.calibration_divisor
    size = max(1, view.model(MemoryModel).max_micro_batch_size // divisor)
    return _run_of(view, size)


def next_run(view: LogView) -> RunStep | None:
    """Return the real run that the largest micro-batch still needs; None when it needs none.

    None on a CPU without a limit: to use all of a machine's main memory would harm whatever else
    runs on it.
    """
    if view.step_times is None or not view.device.present:
        return None
    is_limited = view.request.memory_limit_bytes is not None
    if view.device.kind is DeviceKind.CPU and not is_limited:
        return None
    tuning, size = view.tuning.memory.plan, view.model(MemoryModel).max_micro_batch_size
    runs = [command.micro_batch_size for command, _ in view.entries(RunStep)]
    is_unbounded = size >= view.tuning.estimators.memory_curve.largest_size
    if size == 0 or is_unbounded or size in runs or len(runs) >= tuning.max_runs:
        return None
    expected_s = tuning.run_step_count * view.step_times.step_time_s(size) + view.loading_s()
    if expected_s > tuning.max_run_share * view.request.budget_s:
        return None
    return _run_of(view, size, expected_s)


def _run_of(view: LogView, size: int, expected_s: float = 0.0) -> RunStep:
    return RunStep(
        micro_batch_size=size,
        time_limit_s=hook_limit_s(view) + expected_s,
        sample=view.profile.peak_sample,
    )


def trace_of(view: LogView, size: int, *, accumulation_steps: int = 1) -> TraceMemory:
    """Return the trace of the user's training as it is at micro-batch ``size``."""
    return TraceMemory(
        micro_batch_size=size,
        accumulation_steps=accumulation_steps,
        time_limit_s=hook_limit_s(view),
        sample=view.profile.peak_sample,
    )
