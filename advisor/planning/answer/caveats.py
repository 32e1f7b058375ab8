"""What the user should know about an answer, in plain words: what was not measured, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bsadvise.model.advice import Evidence
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import REFERENCE_TRIAL, RunStep, TimeSteps, TraceMemory, Verify
from bsadvise.model.measurements import (
    Failed,
    MemoryTrace,
    OutOfMemory,
    StepRun,
    StepTimes,
    TimedOut,
)
from bsadvise.model.task import OptimizerFamily
from bsadvise.model.units import format_bytes, format_seconds

from advisor.domain.limits import MOST_CAVEATS
from advisor.planning.answer.batch_caveats import about_batch
from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.answer.divergence import about_divergence, about_verified_loss
from advisor.planning.answer.observed import caveats_of_reference
from advisor.planning.answer.stated_length import about_stated_length
from advisor.planning.answer.verification import verification_of
from advisor.planning.data.epoch import about_drop_last
from advisor.planning.data.loader_findings import about_loader
from advisor.planning.data.shuffle_plan import about_order
from advisor.planning.evidence.invalid_measurements import is_invalid
from advisor.planning.evidence.log_view import LogView
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.memory.memory_savings import typical_peak
from advisor.planning.throughput.contention import about_contention
from advisor.planning.throughput.energy import about_energy
from advisor.planning.trials.range_test import is_suggested
from advisor.planning.trials.trials import Trial


def caveats(view: LogView, choice: Choice, chooser: Chooser) -> tuple[Caveat, ...]:
    """Return the caveats of ``choice``, most important first, each once."""
    found: dict[Caveat, None] = {}
    sources: tuple[Iterable[Caveat], ...] = (
        _about_verification(view, choice),
        about_stated_length(view, choice),
        caveats_of_reference(view.reference),
        _about_training(view, choice, chooser),
        _about_memory(view),
        about_order(view, choice.split.effective_batch_size),
        _about_speed(view, choice),
        about_drop_last(view, choice.split),
        about_energy(view, reached_count=_count_reached(chooser)),
        view.profile.caveats,
    )
    for source in sources:
        found.update(dict.fromkeys(source))
    return tuple(found)[:MOST_CAVEATS]


def _about_verification(view: LogView, choice: Choice) -> Iterator[Caveat]:
    if not view.device.present:
        yield Caveat(
            code=CaveatCode.DEVICE_NOT_PRESENT,
            text=f"Predicted, not run: {view.device.name} is not on this machine.",
        )
        return
    verification = verification_of(view, choice)
    if verification is not None:
        yield from about_verified_loss(view, verification)
        return
    for _, entry in view.entries(Verify):
        match entry.outcome:
            case Failed(fault=fault):
                yield Caveat(
                    code=CaveatCode.VERIFICATION_FAILED,
                    text=f"Not verified: the setting failed when it was run: {fault}",
                )
            case TimedOut(limit_s=limit_s, place=place):
                yield Caveat(
                    code=CaveatCode.VERIFICATION_TIMED_OUT,
                    text=f"Not verified: its run did not end within {format_seconds(limit_s)}"
                    f"{f'; it was at {place}' if place else ''}.",
                )
            case OutOfMemory():
                yield Caveat(
                    code=CaveatCode.VERIFICATION_OUT_OF_MEMORY,
                    text="A setting that was to be verified ran out of memory; this one is "
                    "smaller.",
                )
    if not list(view.entries(Verify)):
        yield Caveat(
            code=CaveatCode.NOT_VERIFIED,
            text="Not verified: the search was stopped before this setting was run by itself.",
        )


def _about_training(view: LogView, choice: Choice, chooser: Chooser) -> Iterator[Caveat]:
    profile = view.profile
    if profile.is_synthetic:
        yield Caveat(
            code=CaveatCode.NO_DATA_SET,
            text="The model file has make_batch and no data set: the learning rate follows the "
            "rule."
            if view.reference is None and profile.dataset_size is None
            else "No trial can be judged by a loss: the learning rate follows the rule.",
        )
        return
    if not view.device.present:
        return
    trials = chooser.trials.all if view.step_times is not None else ()
    if profile.evaluation_size == 0:
        yield Caveat(
            code=CaveatCode.NOTHING_HELD_OUT,
            text="There is too little data to hold any out, so that no trial could be judged.",
        )
    yield from _about_trials(view, choice, trials)
    # By others than the reference: measuring noise slows its steps on the quietest of machines.
    others = trials[REFERENCE_TRIAL + 1 :] or trials
    was_cut = any(trial.was_cut and trial.is_sound for trial in others)
    most = view.tuning.answer.advice.max_slowdown
    if was_cut or (trials and chooser.search.schedule.wall_clock.slowdown > most):
        yield Caveat(
            code=CaveatCode.TRAINING_SLOWER_THAN_TIMED,
            text="Training was slower than the steps that were timed, as on a busy machine: "
            "trials are "
            "fewer or shorter for it, to keep the budget.",
        )
    if choice.trial is not None and chooser.search.is_short(choice.trial):
        yield Caveat(
            code=CaveatCode.SHORT_TRIALS,
            text="The trials were short: the recommended one was not trained to the end. "
            "A larger --budget makes it more certain.",
        )
    yield from _about_target(view, chooser)
    if profile.optimizer.family is OptimizerFamily.OTHER:
        yield Caveat(
            code=CaveatCode.OPTIMIZER_UNKNOWN,
            text=f"{profile.optimizer.optimizer_name} is not an optimizer we know a rule for.",
        )
    yield from about_batch(view, choice, chooser)


def _about_trials(view: LogView, choice: Choice, trials: tuple[Trial, ...]) -> Iterator[Caveat]:
    diverged = [trial for trial in trials if trial.diverged]
    yield from about_divergence(view, trials)
    for trial in trials:
        if trial.fault is not None:
            yield Caveat(code=CaveatCode.TRIAL_FAILED, text=f"A trial failed: {trial.fault}")
    is_as_asked = view.request.max_trials in (0, 1) or choice.carried is not None
    if len(trials) == 1 and trials[0].is_sound and not is_as_asked:
        yield Caveat(
            code=CaveatCode.ONLY_REFERENCE_TRAINED,
            text="Only the reference recipe was trained, which says nothing of other settings. "
            "A larger --budget tries some.",
        )
    if choice.evidence is Evidence.RULE and view.request.max_trials == 0:
        yield Caveat(
            code=CaveatCode.NO_TRIALS,
            text="No trials were run, as asked: the learning rate follows the rule alone.",
        )
    elif choice.evidence is Evidence.RULE and is_suggested(
        view, choice.split.effective_batch_size, choice.learning_rate
    ):
        yield Caveat(
            code=CaveatCode.RANGE_TEST_ONLY,
            text="The learning rate comes from a range test alone, which can be off by a factor of "
            "four and more: no trial confirmed it.",
        )
    elif choice.evidence is Evidence.RULE and trials and not diverged:
        yield Caveat(
            code=CaveatCode.BATCH_NOT_TRIED,
            text="The learning rate follows the rule: this batch itself was not tried.",
        )


def _about_target(view: LogView, chooser: Chooser) -> Iterator[Caveat]:
    asked = view.request.target_loss
    if asked is None or not chooser.sound or chooser.target_loss == asked:
        return
    best = min(trial.curve.best_loss for trial in chooser.sound)
    what = (
        f"reached the target loss {asked:g} within the budget (best {best:.4g})"
        if best > asked
        else f"stayed at the target loss {asked:g} for three evaluations (lowest {best:.4g})"
    )
    yield Caveat(
        code=CaveatCode.TARGET_NOT_REACHED,
        text=f"No trial {what}: settings were compared by their predicted time to it.",
    )


def _about_memory(view: LogView) -> Iterator[Caveat]:
    for _, trace in view.figures(TraceMemory, MemoryTrace):
        yield from trace.caveats
    model = view.model(MemoryModel)
    largest = model.max_micro_batch_size
    limit = view.tuning.estimators.memory_curve.largest_size
    ran = any(command.micro_batch_size == largest for command, _ in view.figures(RunStep, StepRun))
    measured = max(model.traces)
    is_extrapolated = model.is_traced_by_runs and largest > measured
    is_cut = model.curve.next_size(model.traced_budget_bytes) is not None and largest < limit
    if is_cut and not is_extrapolated:
        yield Caveat(
            code=CaveatCode.MEMORY_SEARCH_CUT_SHORT,
            text=f"The search for the largest micro-batch ended early: more than {largest:,} may "
            "fit.",
        )
    for command, failure in model.failed_traces:
        yield Caveat(
            code=CaveatCode.LARGEST_BATCH_NOT_RUN,
            text=f"A step of {command.micro_batch_size:,} samples failed: {failure.fault}",
        )
    if is_extrapolated:
        yield Caveat(
            code=CaveatCode.LARGEST_BATCH_NOT_RUN,
            text=f"That {largest:,} samples fit in a micro-batch is extrapolated from real steps "
            f"of at most {measured:,}: fewer may fit, or more.",
        )
    elif largest >= limit:
        yield Caveat(
            code=CaveatCode.MEMORY_SEARCH_LIMIT,
            text=f"Memory was not traced beyond {limit:,} samples a micro-batch.",
        )
    elif view.device.present and not ran:
        yield Caveat(
            code=CaveatCode.LARGEST_BATCH_NOT_RUN,
            text=f"max_micro_batch_size is predicted, not run: a step of {largest:,} samples takes "
            f"{format_bytes(model.predicted_peak_bytes(largest))}.",
        )
    typical = typical_peak(view)
    if typical is not None:
        yield Caveat(
            code=CaveatCode.SAMPLE_SIZES_DIFFER,
            text="Samples are of unlike sizes, and the longest decides what fits: a usual batch of "
            f"{typical.micro_batch_size:,} takes {format_bytes(typical.peak_bytes)}.",
        )
    tuning = view.tuning.evidence.invalid_measurements
    if any(is_invalid(entry, tuning) for entry in view.log):
        yield Caveat(
            code=CaveatCode.MEMORY_CHANGED_MEANWHILE,
            text="Other processes took or gave back memory of the device while it was measured; "
            "affected measurements were repeated.",
        )
    others = [process for process in view.device.processes if not process.is_own]
    if others:
        names = ", ".join(f"{p.process_name or 'process'} ({p.pid})" for p in others)
        yield Caveat(
            code=CaveatCode.DEVICE_SHARED,
            text=f"Other processes held memory on the device: {names}.",
        )


def _about_speed(view: LogView, choice: Choice) -> Iterator[Caveat]:
    if choice.split.world_size > 1:
        yield Caveat(
            code=CaveatCode.COMMUNICATION_NOT_MEASURED,
            text=f"Measured on one device and calculated for {choice.split.world_size}: the time "
            "that "
            "they take to exchange gradients was not measured.",
        )
    if view.step_times is None:
        return
    for command, entry in view.entries(TimeSteps):
        if not isinstance(entry.outcome, StepTimes):
            yield Caveat(
                code=CaveatCode.STEPS_NOT_TIMED,
                text=f"Steps of {command.micro_batch_size} samples could not be timed.",
            )
    yield from about_contention(view)
    loader = about_loader(view, choice.split)
    if loader is not None:
        yield loader


def _count_reached(chooser: Chooser) -> int:
    return sum(chooser.time_to_target_s(trial) is not None for trial in chooser.sound)
