"""The planner of recommendations: the stages in order, each asked what it still needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log, Prior
from bsadvise.model.request import AdviceRequest, EntryKind

from advisor.estimators.law_prior import prior_of_law
from advisor.planning.answer.advising import advise
from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.answer.observed import advise_observed
from advisor.planning.answer.script_check import script_runner
from advisor.planning.answer.verification import next_verification
from advisor.planning.command_runs.advising import advise_command
from advisor.planning.command_runs.search import CommandSearch
from advisor.planning.data.loading import next_loader_trial
from advisor.planning.data.shuffle_plan import next_order_comparison
from advisor.planning.evidence.inspection import next_inspection
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.observation import next_observation
from advisor.planning.evidence.refusals import refuse_no_fit, refuse_no_split
from advisor.planning.evidence.semantics import is_indivisible
from advisor.planning.evidence.step import Commands, Plan
from advisor.planning.horizon.carrying import Carrier
from advisor.planning.horizon.complete_trainings import CompleteTrainings
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.memory.memory_plan import (
    memory_bounds_the_batch,
    next_calibration,
    next_run,
    next_trace,
)
from advisor.planning.memory.memory_savings import next_saving_trace, next_typical
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.throughput.throughput import next_timing
from advisor.planning.trials.range_test import next_range_test
from advisor.planning.trials.shared_budget import with_shared_budget
from advisor.planning.trials.trial_search import TrialSearch, is_of_trial
from advisor.planning.trials.trials import Trials
from advisor.planning.tuning.tuning import DEFAULT_TUNING, Tuning
from advisor.ports.proposer import Proposer


class RecommendationPlanner:
    """Turns a log into what a recommendation measures next.

    Observe a script, inspect, trace memory, time steps, run the largest size, train the reference
    recipe, then trials of other settings, choose, verify: each stage says what it still needs, and
    the first that needs anything is next. A stage whose share of the budget is spent needs nothing
    more.

    Args:
        proposer: What suggests settings where the scaling model and its neighbours have none.
        tuning: The tuned numbers.
    """

    def __init__(self, proposer: Proposer, tuning: Tuning = DEFAULT_TUNING) -> None:
        self._proposer = proposer
        self._tuning = tuning

    def read(self, request: AdviceRequest, devices: Sequence[Device], log: Log) -> LogView:
        """Return the view of a log that the other methods take: one serves all of them."""
        return with_shared_budget(LogView(request, tuple(devices), log, self._tuning))

    def plan(self, view: LogView, running: Sequence[Command] = (), capacity: int = 1) -> Plan:
        """Return what to measure next, the answer, or why there is none.

        Each command is planned as if those before it were running already. Trainings of different
        trials may run at the same time; what any other command finds decides what comes next, so
        that such a command runs by itself.
        """
        given: list[Command] = []
        while len(given) < capacity:
            pending = (*running, *given)
            step = self._next_step(replace(view, running=pending) if pending else view)
            if not isinstance(step, Command):
                return Commands(tuple(given)) if pending else step
            if pending and not all(map(is_of_trial, (step, *pending))):
                break
            given.append(step)
        return Commands(tuple(given))

    def _next_step(self, view: LogView) -> Command | Advice | Refusal:
        if view.request.source.entry_kind is EntryKind.COMMAND:
            runs = view.model(CommandSearch)
            return runs.next_step() or advise_command(runs)
        step: Command | Refusal | None = next_observation(view)
        if step is None and view.request.observe_only:
            return advise_observed(view)
        step = step or next_inspection(view) or next_trace(view) or _next_memory_saving(view)
        if step is None and view.device.present:
            step = (
                next_calibration(view)
                or next_timing(view)
                or next_run(view)
                or _refuse_misfit(view)
                or next_order_comparison(view)
                or next_range_test(view)
                or self._next_training(view)
            )
        if step is not None:
            return step
        chooser = view.model(Chooser)
        choice = chooser.choice
        if choice is None:
            return _refuse_no_split(view)
        return (
            next_loader_trial(view, choice.split)
            or next_verification(view, choice)
            or _next_script_run(view, choice)
            or advise(chooser, choice)
        )

    def _next_training(self, view: LogView) -> Command | Refusal | None:
        """Return the next trial: a complete short training where a length was stated."""
        search, complete = view.model(TrialSearch), view.model(CompleteTrainings)
        if not complete.is_asked:
            return search.next_command(self._proposer)
        if (
            search.schedule.wall_clock.spent_s < search.schedule.trials_s
            and not complete.rungs.made.begun
        ):
            trial = search.next_command(self._proposer)
            if trial is not None:
                return trial
        return (
            search.next_of_reference()
            or complete.next_training()
            or view.model(Carrier).next_check()
        )

    def best_so_far(self, view: LogView) -> Advice | None:
        """Return the answer that the log would give now; None while it would give none."""
        if view.request.source.entry_kind is EntryKind.COMMAND:
            runs = view.model(CommandSearch)
            return advise_command(runs) if runs.has_choice else None
        if next_observation(view) is not None or next_inspection(view) is not None:
            return None
        if not view.model(MemoryModel).traces:
            return None
        if view.model(MemoryModel).max_micro_batch_size == 0:
            return None
        chooser = view.model(Chooser)
        return None if chooser.choice is None else advise(chooser, chooser.choice)

    def prior_from(self, view: LogView) -> Prior | None:
        """Return what the log's own measurements say of the scaling law; None before trials."""
        own = replace(view, log=tuple(e for e in view.log if not isinstance(e.outcome, Prior)))
        if own.step_times is None or not own.model(Trials).all:
            return None
        acquisition = own.model(TrialSearch).suggester.acquisition
        return None if acquisition.is_all_broken else prior_of_law(acquisition.law)


def _next_script_run(view: LogView, choice: Choice) -> Command | None:
    runner = script_runner(view, choice)
    return None if runner is None else runner.next_run()


def _next_memory_saving(view: LogView) -> Command | None:
    """Return a trace that decides nothing; None when there is none left, or no time."""
    share = view.tuning.evidence.seconds.max_savings_share
    largest = view.model(MemoryModel).max_micro_batch_size
    is_bound = memory_bounds_the_batch(view, largest)
    return (next_saving_trace(view, share) if is_bound else None) or next_typical(view, share)


def _refuse_misfit(view: LogView) -> Refusal | None:
    """Return a refusal when nothing fits after all, or when the batch asked for does not."""
    model = view.model(MemoryModel)
    if model.max_micro_batch_size == 0:
        needed = model.predicted_peak_bytes(min(model.traces))
        return refuse_no_fit(needed, model.budget_bytes, view.device.name)
    fixed = view.request.effective_batch_size
    if fixed and view.model(StepCost).split(fixed) is None:
        return _refuse_no_split(view)
    return None


def _refuse_no_split(view: LogView) -> Refusal:
    model = view.model(MemoryModel)
    if is_indivisible(view):
        return refuse_no_split(view.request, model.max_micro_batch_size, is_indivisible=True)
    return refuse_no_split(view.request, model.max_accumulating_size)
