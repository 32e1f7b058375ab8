"""The memory stage: from traces to the largest micro-batch, then one real run of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from advisor.domain.advice import Refusal
from advisor.domain.commands import RunStep, TraceMemory, Verify
from advisor.domain.device import DeviceKind
from advisor.domain.measurements import MemoryTrace, OutOfMemory, StepRun
from advisor.estimators.memory_curve import FIRST_SIZES, LARGEST_SIZE, MemoryCurve
from advisor.planning.budget import TRACING_SHARE, hook_limit_s, memory_budget, overhead_bytes
from advisor.planning.facts import Facts
from advisor.planning.refusals import refuse, refuse_no_fit

_MOST_TRACES = 12
_MOST_RUNS = 4
_MISS_FACTOR = 1.03
"""How much larger than predicted memory is taken to be after a run that did not fit."""

_RUN_SHARE = 0.15
"""The most of the budget that running the largest size may take."""

_FRIENDLY_SHARE = 0.02
"""A multiple of 8 this close below the limit is preferred: tiles and kernels are made for it."""


@dataclass(frozen=True)
class MemoryModel:
    """What is known of a task's memory on its device.

    Attributes:
        facts: The log so far; its task has been inspected.
    """

    facts: Facts

    @cached_property
    def traces(self) -> dict[int, MemoryTrace]:
        """Traces by micro-batch size."""
        return {c.micro_batch_size: t for c, t in self.facts.figures(TraceMemory, MemoryTrace)}

    @cached_property
    def curve(self) -> MemoryCurve:
        """Predicted peak of training and of evaluation, whichever is higher."""
        return MemoryCurve(
            {b: max(t.peak_bytes, t.evaluation_peak_bytes) for b, t in self.traces.items()}
        )

    @cached_property
    def overhead_bytes(self) -> int:
        """What the device's libraries take beside the tensors."""
        return overhead_bytes(self.facts.request, self.facts.device, self.facts.profile)

    @cached_property
    def budget_bytes(self) -> int:
        """What tensors may take."""
        budget = memory_budget(self.facts.request, self.facts.device)
        return max(0, budget.budget_bytes - self.overhead_bytes)

    @cached_property
    def correction(self) -> float:
        """Measured over predicted memory: at least 1, raised by every run that did not fit."""
        factor = 1.0
        for entry in self.facts.log:
            command, outcome = entry.command, entry.outcome
            if not isinstance(command, RunStep | Verify):
                continue
            if isinstance(outcome, OutOfMemory):
                factor *= _MISS_FACTOR
            elif isinstance(outcome, StepRun):
                predicted = self.curve.peak_bytes(command.micro_batch_size)
                factor = max(factor, outcome.peak_bytes / predicted)
        return factor

    @cached_property
    def max_micro_batch_size(self) -> int:
        """Largest b that fits; 0 when none does."""
        return self._largest(self.budget_bytes / self.correction)

    @cached_property
    def max_accumulating_size(self) -> int:
        """Largest b that fits beside gradients that are being accumulated; 0 when none does.

        From the second micro-batch on, the gradients of the first are there during the
        forward pass too; adding them all to the peak can only err on the safe side.
        """
        profile = self.facts.profile
        share = profile.trainable_parameter_count / max(1, profile.parameter_count)
        gradient_bytes = profile.parameter_bytes * share
        return self._largest(self.budget_bytes / self.correction - gradient_bytes)

    def predicted_peak_bytes(self, size: int) -> int:
        """Return the predicted peak at micro-batch ``size``, libraries included."""
        return int(self.curve.peak_bytes(size) * self.correction) + self.overhead_bytes

    def _largest(self, budget_bytes: float) -> int:
        size = self.curve.largest_fit(budget_bytes)
        crashed = self.facts.smallest_out_of_memory
        return size if crashed is None else min(size, crashed - 1)


def friendly_size(largest: int) -> int:
    """Return the multiple of 8 just below ``largest`` where that costs at most 2 %."""
    rounded = largest - largest % 8
    return rounded if rounded >= (1 - _FRIENDLY_SHARE) * largest else largest


def next_trace(facts: Facts) -> TraceMemory | Refusal | None:
    """Return the next size to trace; None when the largest that fits is known."""
    for command, entry in facts.entries(TraceMemory):
        if not isinstance(entry.outcome, MemoryTrace):
            traced = MemoryModel(facts).traces
            return None if traced else refuse(command, entry.outcome)
    model = MemoryModel(facts)
    if not model.traces:
        return _trace(facts, FIRST_SIZES[0])
    if len(model.traces) == 1 and model.curve.largest_fit(model.budget_bytes):
        return _trace(facts, FIRST_SIZES[1])
    size = model.curve.next_size(model.budget_bytes)
    if model.curve.largest_fit(model.budget_bytes) == 0:
        if size is not None:
            return _trace(facts, size)
        needed = model.curve.peak_bytes(min(model.traces))
        return refuse_no_fit(needed, model.budget_bytes, facts.device.name)
    if size is None or len(model.traces) >= _MOST_TRACES or facts.spent(TRACING_SHARE):
        return None
    return _trace(facts, size)


def next_run(facts: Facts) -> RunStep | None:
    """Return the real run that the largest micro-batch still needs; None when it needs none.

    A CPU without a limit is left alone: filling a machine's main memory to the brim would
    harm whatever else runs on it.
    """
    if facts.step_times is None or not facts.device.present:
        return None
    is_limited = facts.request.memory_limit_bytes is not None
    if facts.device.kind is DeviceKind.CPU and not is_limited:
        return None
    model = MemoryModel(facts)
    size = model.max_micro_batch_size
    runs = list(facts.entries(RunStep))
    if size == 0 or size >= LARGEST_SIZE or len(runs) >= _MOST_RUNS:
        return None
    if any(command.micro_batch_size == size for command, _ in runs):
        return None
    # Two steps and an evaluation batch, each of them accounted, which costs about as much again.
    expected_s = 5 * facts.step_times.step_time_s(size) + facts.loading_s()
    if expected_s > _RUN_SHARE * facts.request.budget_s:
        return None
    return RunStep(micro_batch_size=size, time_limit_s=hook_limit_s(facts.request) + expected_s)


def _trace(facts: Facts, size: int) -> TraceMemory:
    return TraceMemory(micro_batch_size=size, time_limit_s=hook_limit_s(facts.request))
