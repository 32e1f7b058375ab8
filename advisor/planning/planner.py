"""The planner of recommendations: the stages in order, each asked what it still needs."""

from __future__ import annotations

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest

from advisor.planning.answer.advising import advise
from advisor.planning.answer.choice import Chooser
from advisor.planning.answer.verification import next_verification
from advisor.planning.data.shuffle_plan import next_order_comparison
from advisor.planning.evidence.inspection import next_inspection
from advisor.planning.evidence.log_view import Facts
from advisor.planning.evidence.refusals import refuse_no_fit, refuse_no_split
from advisor.planning.evidence.step import Step
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.memory.memory_plan import (
    memory_bounds_the_batch,
    next_calibration,
    next_run,
    next_trace,
)
from advisor.planning.memory.memory_savings import next_lever, next_typical
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.throughput.throughput import next_timing
from advisor.planning.trials.range_test import next_range_test
from advisor.planning.trials.trial_search import Branches
from advisor.ports.proposer import Proposer

_LOOK_ROUND_SHARE = 0.12
"""Share of the seconds after which nothing is traced that the answer does not need."""


class RecommendationPlanner:
    """Turns a log into the next step of a recommendation.

    Inspect, trace memory, time steps, run the largest size, train the trunk and its branches,
    choose, verify: each stage says what it still needs, and the first that needs anything is
    next. A stage whose share of the budget is spent needs nothing more.
    """

    def __init__(self, proposer: Proposer) -> None:
        self._proposer = proposer

    def next_step(self, request: AdviceRequest, device: Device, log: Log) -> Step:
        """Return what to measure next, the answer, or why there is none."""
        facts = Facts(request, device, log)
        step: Command | Refusal | None = (
            next_inspection(facts) or next_trace(facts) or _look_round(facts)
        )
        if step is None and device.present:
            step = (
                next_calibration(facts)
                or next_timing(facts)
                or next_run(facts)
                or _refuse_misfit(facts)
                or next_order_comparison(facts)
                or next_range_test(facts)
                or Branches(facts).next_command(self._proposer)
            )
        if step is not None:
            return step
        chooser = Chooser(facts)
        choice = chooser.choose()
        if choice is None:
            return refuse_no_split(request, MemoryModel(facts).max_accumulating_size)
        return next_verification(facts, choice) or advise(chooser, choice)

    def best_so_far(self, request: AdviceRequest, device: Device, log: Log) -> Advice | None:
        """Return the answer that the log would give now; None while it would give none."""
        facts = Facts(request, device, log)
        if next_inspection(facts) is not None or not MemoryModel(facts).traces:
            return None
        if MemoryModel(facts).max_micro_batch_size == 0:
            return None
        chooser = Chooser(facts)
        choice = chooser.choose()
        return None if choice is None else advise(chooser, choice)

    def remaining_s(self, request: AdviceRequest, log: Log) -> float:
        """Return the seconds of the request's budget that are left, at least 0."""
        return max(0.0, request.budget_s - sum(entry.wall_s for entry in log))


def _look_round(facts: Facts) -> Command | None:
    """Return a trace of what is to be said beside the answer; None when there is none left."""
    largest = MemoryModel(facts).max_micro_batch_size
    is_bound = memory_bounds_the_batch(facts, largest)
    lever = next_lever(facts, _LOOK_ROUND_SHARE) if is_bound else None
    return lever or next_typical(facts, _LOOK_ROUND_SHARE)


def _refuse_misfit(facts: Facts) -> Refusal | None:
    """Return a refusal when nothing fits after all, or when the batch asked for does not."""
    model = MemoryModel(facts)
    if model.max_micro_batch_size == 0:
        needed = model.predicted_peak_bytes(min(model.traces))
        return refuse_no_fit(needed, model.budget_bytes, facts.device.name)
    fixed = facts.request.effective_batch_size
    if fixed and StepCost(facts).split(fixed) is None:
        return refuse_no_split(facts.request, model.max_accumulating_size)
    return None
