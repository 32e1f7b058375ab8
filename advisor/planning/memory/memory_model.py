"""What is known of a task's memory: the curve through its traces, corrected by runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.commands import RunStep, TimeSteps, TraceMemory, Train, Verify
from bsadvise.model.measurements import (
    Failed,
    MemoryTrace,
    OutOfMemory,
    StepRun,
    Verification,
)

from advisor.domain.limits import MOST_BYTES
from advisor.estimators.memory_curve import MemoryCurve
from advisor.planning.evidence.budget import (
    gradient_bytes,
    memory_budget,
    overhead_bytes,
    workspace_bytes,
)
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.tuning.memory import MemoryModelTuning

_REAL_COMMANDS = RunStep | TimeSteps | Train | Verify


@dataclass(frozen=True)
class MemoryModel:
    """What is known of a task's memory on its device.

    Attributes:
        view: The log so far; its task has been inspected.
    """

    view: LogView

    @property
    def _tuning(self) -> MemoryModelTuning:
        return self.view.tuning.memory.model

    @cached_property
    def traces(self) -> dict[int, MemoryTrace]:
        """Traces of steps of one micro-batch, by its size."""
        return self._traces(accumulating=False)

    @cached_property
    def curve(self) -> MemoryCurve:
        """Predicted peak of training and of evaluation, whichever is higher."""
        return self.curve_of(self.traces)

    @cached_property
    def accumulating_curve(self) -> MemoryCurve:
        """The same for steps of several micro-batches; of no points where it was not traced."""
        return self.curve_of(self._traces(accumulating=True))

    @cached_property
    def overhead_bytes(self) -> int:
        """What the device's libraries take in addition to the tensors."""
        view = self.view
        return overhead_bytes(view.request, view.device, view.profile, view.tuning.evidence.memory)

    @cached_property
    def budget_bytes(self) -> int:
        """What tensors may take."""
        view = self.view
        budget = memory_budget(view.request, view.device, view.tuning.evidence.memory)
        return max(0, budget.budget_bytes - self.overhead_bytes)

    @cached_property
    def traced_budget_bytes(self) -> float:
        """What a trace may come to, corrected by runs."""
        return self.budget_bytes / self.correction

    @cached_property
    def correction(self) -> float:
        """Measured over predicted memory, at least 1.

        Of the runs that fitted, that of the largest size says most: what is fixed weighs more
        in small ones. A run that did not fit, or took more than the budget, shows that it is
        more than the budget over the prediction; how much more is not known, so that a misfit adds
        ``misfit_factor``.
        """
        ratios = self._run_ratios
        return max(1.0, ratios[max(ratios)] if ratios else 1.0, *self._misfit_factors())

    @cached_property
    def _run_ratios(self) -> dict[int, float]:
        """Measured over predicted memory of the runs of a size that fitted."""
        return {
            command.micro_batch_size: run.peak_bytes / self._traced_by(command)
            for command, run in self.view.figures(RunStep, StepRun)
        }

    def _misfit_factors(self) -> Iterator[float]:
        proven = max(self._run_ratios, default=0)
        for entry in self.view.sound:
            command, outcome = entry.command, entry.outcome
            if not isinstance(command, _REAL_COMMANDS):
                continue
            # Where a larger size has run, it was not the prediction that failed.
            if isinstance(outcome, OutOfMemory) and command.micro_batch_size > proven:
                yield self._tuning.misfit_factor * self.budget_bytes / self._traced_by(command)
            elif isinstance(outcome, Verification) and outcome.peak_bytes > self.budget_bytes:
                yield outcome.peak_bytes / self._traced_by(command)

    @cached_property
    def max_size_interval(self) -> tuple[int, int] | None:
        """What was seen to fit, and what may; None where runs agree with the prediction."""
        ratios, misfits = self._run_ratios, list(self._misfit_factors())
        agreement = self._tuning.agreement
        if not ratios or (not misfits and abs(ratios[max(ratios)] - 1) <= agreement):
            return None
        likely = self.curve.largest_fit(self.budget_bytes / min(ratios.values()))
        crashed = self.view.smallest_out_of_memory
        high = likely if crashed is None else min(likely, crashed - 1)
        return max(ratios), max(*ratios, self.max_micro_batch_size, high)

    @cached_property
    def failed_traces(self) -> tuple[tuple[TraceMemory, Failed], ...]:
        """Sizes at which the user's code failed, though it runs with smaller ones."""
        return tuple(
            (command, failure)
            for command, failure in self.view.figures(TraceMemory, Failed)
            if is_plain(command) and command.micro_batch_size > min(self.traces, default=0)
        )

    @cached_property
    def max_micro_batch_size(self) -> int:
        """Largest b that fits; 0 when none does."""
        return self._largest(self.curve)

    @cached_property
    def max_accumulating_size(self) -> int:
        """Largest b that fits in a step of several; 0 when none does, or none was traced."""
        if self.is_traced_by_runs:  # Not run once more: see _traced_bytes.
            return self._largest(self.curve, gradient_bytes(self.view.profile))
        return min(self._largest(self.accumulating_curve), self.max_micro_batch_size)

    def predicted_peak_bytes(self, size: int, *, accumulating: bool = False) -> int:
        """Return the predicted peak at micro-batch ``size``, libraries included."""
        traced = self._traced_bytes(size, accumulating=accumulating)
        return min(MOST_BYTES, int(traced * self.correction)) + self.overhead_bytes

    def split_peak_bytes(self, split: Split) -> int:
        """Return the predicted peak of a step of ``split``, libraries included."""
        return self.predicted_peak_bytes(
            split.micro_batch_size, accumulating=split.accumulation_steps > 1
        )

    def curve_of(self, traces: Mapping[int, MemoryTrace]) -> MemoryCurve:
        """Return the curve through some traces: reserved bytes on CUDA, else live ones."""
        points = {b: self.reserved_bytes_of(trace) for b, trace in traces.items()}
        return MemoryCurve(
            points,
            is_drawn_on=self.is_traced_by_runs and not self._has_trace_crashed,
            tuning=self.view.tuning.estimators.memory_curve,
        )

    @cached_property
    def is_traced_by_runs(self) -> bool:
        """Whether fake tensors cannot follow the model, so that real steps are traced."""
        traces = self.view.figures(TraceMemory, MemoryTrace)
        return any(trace.was_run for _, trace in traces)

    @cached_property
    def _has_trace_crashed(self) -> bool:
        return any(self.view.figures(TraceMemory, OutOfMemory))

    def reserved_bytes_of(self, trace: MemoryTrace) -> int:
        """Return what a traced step would take of the device: reserved bytes on CUDA."""
        if trace.reserved_bytes is not None:
            return trace.reserved_bytes + workspace_bytes(self.view.device)
        return max(trace.peak_bytes, trace.evaluation_peak_bytes)

    def _traced_by(self, command: RunStep | TimeSteps | Train | Verify) -> int:
        """Return what was predicted for a command; at least 1, as ratios are taken to it."""
        size, accumulating = command.micro_batch_size, _accumulates(command)
        return max(1, self._traced_bytes(size, accumulating=accumulating))

    def _traced_bytes(self, size: int, *, accumulating: bool) -> int:
        if not accumulating:
            return self.curve.peak_bytes(size)
        if self.accumulating_curve.points:
            return self.accumulating_curve.peak_bytes(size)
        # Gradients that are there from the first micro-batch on add no more than themselves.
        return self.curve.peak_bytes(size) + gradient_bytes(self.view.profile)

    def _traces(self, *, accumulating: bool) -> dict[int, MemoryTrace]:
        return {
            command.micro_batch_size: trace
            for command, trace in self.view.figures(TraceMemory, MemoryTrace)
            if is_plain(command) and (command.accumulation_steps > 1) is accumulating
        }

    def _largest(self, curve: MemoryCurve, additional_bytes: int = 0) -> int:
        size = curve.largest_fit(self.traced_budget_bytes - additional_bytes)
        failed = (command.micro_batch_size for command, _ in self.failed_traces)
        bounds = (self.view.smallest_out_of_memory, min(failed, default=None))
        return min([size, *(bound - 1 for bound in bounds if bound is not None)])


def is_plain(command: TraceMemory) -> bool:
    """Return whether a trace is of the user's training as it is, with the longest sample."""
    return command.lever is None and not command.is_typical


def _accumulates(command: RunStep | TimeSteps | Train | Verify) -> bool:
    return not isinstance(command, TimeSteps) and command.accumulation_steps > 1
