"""What a look beyond the answer finds: what would make room, and what usual batches take."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from advisor.domain.advice import LeverGain
from advisor.domain.commands import Lever, TraceMemory
from advisor.domain.device import DeviceKind
from advisor.domain.measurements import MemoryTrace
from advisor.domain.task import OptimizerFamily
from advisor.planning.budget import TRACING_SHARE, bucket_bytes, hook_limit_s
from advisor.planning.facts import Facts
from advisor.planning.memory import MemoryModel

_OF_THE_MODEL = (Lever.BF16, Lever.CHECKPOINTING)
"""Levers that change what a sample takes, so that a second size must be traced."""

_STRETCH = 2
"""The second size, over the largest that fits as it is."""

_MOST_DRAWN = 4096
"""Of more samples than this, one is as long as the longest."""


def next_typical(facts: Facts, share: float = TRACING_SHARE) -> TraceMemory | None:
    """Return the trace of samples as they come; None where all are alike, or it was made.

    Args:
        facts: What is known.
        share: Of the seconds, after which nothing more is begun.
    """
    size = shown_size(facts)
    if facts.profile.longest_sample is None or size > _MOST_DRAWN:
        return None
    wanted = dataclasses.replace(_trace(facts, size), is_typical=True)
    return _next(facts, [wanted], share)


def next_lever(facts: Facts, share: float = TRACING_SHARE) -> TraceMemory | None:
    """Return the next trace of a lever; None when there is none left, or no time.

    Args:
        facts: What is known.
        share: Of the seconds, after which nothing more is begun.
    """
    model = MemoryModel(facts)
    largest = model.max_micro_batch_size
    if largest == 0 or any(trace.was_run for trace in model.traces.values()):
        return None
    return _next(facts, _lever_traces(facts, largest), share)


def _next(facts: Facts, wanted: Iterable[TraceMemory], share: float) -> TraceMemory | None:
    if facts.spent(share):
        return None
    made = {command for command, _ in facts.entries(TraceMemory)}
    return next((trace for trace in wanted if trace not in made), None)


def typical_peak_bytes(facts: Facts, size: int) -> int | None:
    """Return what samples as they come take at ``size``, libraries included; None if unknown."""
    for command, trace in facts.figures(TraceMemory, MemoryTrace):
        if command.is_typical and command.micro_batch_size == size:
            model = MemoryModel(facts)
            return model.reserved_bytes_of(trace) + model.overhead_bytes
    return None


def lever_gains(facts: Facts) -> tuple[LeverGain, ...]:
    """Return what each lever that helps would do, the most helpful first."""
    gains = [gain for lever in Lever if (gain := _gain(facts, lever)) is not None]
    return tuple(sorted(gains, key=lambda gain: -gain.max_micro_batch_size))


def shown_size(facts: Facts) -> int:
    """Return the size that an estimate takes apart: the one asked about, or the largest."""
    model = MemoryModel(facts)
    asked = asked_size(facts)
    if asked is not None and asked in model.traces:
        return asked
    fitting = [size for size in model.traces if size <= model.max_micro_batch_size]
    return max(fitting, default=min(model.traces))


def asked_size(facts: Facts) -> int | None:
    """Return the micro-batch that an estimate was asked about; None for none."""
    batch_size = facts.request.effective_batch_size
    return None if batch_size is None else max(1, batch_size // facts.request.world_size)


def _lever_traces(facts: Facts, largest: int) -> Iterator[TraceMemory]:
    for lever in _applicable(facts):
        sizes = (largest, _STRETCH * largest) if lever in _OF_THE_MODEL else (largest,)
        for size in sizes:
            yield dataclasses.replace(_trace(facts, size), lever=lever)


def _applicable(facts: Facts) -> Iterator[Lever]:
    profile = facts.profile
    if profile.precision == "fp32":
        yield Lever.BF16
    if profile.repeated_block_count:
        yield Lever.CHECKPOINTING
    family = profile.optimizer.family
    if family is not OptimizerFamily.OTHER and facts.device.kind is not DeviceKind.CPU:
        yield Lever.FUSED_OPTIMIZER
    if family is OptimizerFamily.ADAM:
        yield Lever.SGD
        if "8bit" not in profile.optimizer.optimizer_name:
            yield Lever.EIGHT_BIT_OPTIMIZER


def _gain(facts: Facts, lever: Lever) -> LeverGain | None:
    model = MemoryModel(facts)
    largest = model.max_micro_batch_size
    budget_bytes = model.traced_budget_bytes
    if lever is Lever.BUCKET_VIEW:
        saved_bytes = bucket_bytes(facts.request, facts.profile)
        size = _reach({}, model, largest, budget_bytes + saved_bytes)
    else:
        points = {
            command.micro_batch_size: model.reserved_bytes_of(trace)
            for command, trace in facts.figures(TraceMemory, MemoryTrace)
            if command.lever is lever
        }
        if largest not in points:
            return None
        saved_bytes = model.curve.peak_bytes(largest) - points[largest]
        if lever not in _OF_THE_MODEL:
            budget_bytes += saved_bytes
        size = _reach(points, model, largest, budget_bytes)
    if saved_bytes <= 0 or size <= largest:
        return None
    return LeverGain(
        lever=lever, max_micro_batch_size=size, saved_bytes=int(saved_bytes * model.correction)
    )


def _reach(points: dict[int, int], model: MemoryModel, largest: int, budget_bytes: float) -> int:
    """Return about how far a budget goes along a line: through two points, else the curve's."""
    known = points if len(points) > 1 else model.curve.points
    sizes = sorted(known)
    if len(sizes) < 2:
        return largest
    # The two points nearest the answer, which lie on the line that bounds it.
    right = next((n for n, size in enumerate(sizes) if size > largest), len(sizes) - 1)
    left_size, right_size = sizes[max(0, right - 1)], sizes[max(1, right)]
    slope = (known[right_size] - known[left_size]) / (right_size - left_size)
    if slope <= 0:
        return largest
    return int(left_size + (budget_bytes - known[left_size]) / slope)


def _trace(facts: Facts, size: int) -> TraceMemory:
    return TraceMemory(micro_batch_size=size, time_limit_s=hook_limit_s(facts.request))
