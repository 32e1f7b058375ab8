"""The answer for a command, from its runs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bsadvise.model.advice import Advice, Confidence, Evidence, Interval, ScriptCheck
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.observation import Quantity, ScriptRun
from bsadvise.model.units import number_text

from advisor.estimators.scaling_rules import describe_rule, scale_learning_rate
from advisor.estimators.timing import typical_interval_s, typical_time_s
from advisor.planning.answer.observed import caveats_of_reference
from advisor.planning.answer.script_check import measured_differences
from advisor.planning.answer.search_cost import search
from advisor.planning.command_runs.search import CommandSearch, MeasuredSetting


def advise_command(runs: CommandSearch) -> Advice:
    """Return the answer that the runs give.

    Raises:
        LookupError: They give none.
    """
    choice = runs.choice
    if choice is None:
        raise LookupError("no run of the command could be measured")
    setting, found, last = choice.setting, runs.view.reference, runs.last_run
    run = choice.run if last is None else last
    size = setting.effective_batch_size
    step_time_s = typical_time_s(run.step_times_s)
    dataset_size = None if found is None else found.dataset_size
    steps_per_epoch = None if dataset_size is None else math.ceil(dataset_size / size)
    largest = runs.measured[-1].setting.micro_batch_size
    too_large = runs.smallest_that_does_not_fit
    says_rate = Quantity.LEARNING_RATE in runs.known.quantities
    return Advice(
        micro_batch_size=setting.micro_batch_size,
        max_micro_batch_size=largest,
        accumulation_steps=setting.accumulation_steps,
        world_size=1,
        effective_batch_size=size,
        learning_rate=setting.learning_rate,
        lr_rule=describe_rule(runs.known.family) if says_rate else "the command's own",
        lr_evidence=Evidence.RULE,
        precision="fp32" if found is None else found.precision,
        device=runs.view.device.name,
        verified=last is not None,
        budget_bytes=runs.budget_bytes,
        confidence=Confidence.LOW,
        predicted_peak_bytes=choice.run.peak_bytes,
        measured_peak_bytes=None if last is None else last.peak_bytes,
        samples_per_s=size / step_time_s,
        samples_per_s_interval=_interval(size, run),
        step_time_s=step_time_s,
        steps_per_epoch=steps_per_epoch,
        time_per_epoch_s=None if steps_per_epoch is None else steps_per_epoch * step_time_s,
        max_micro_batch_size_interval=None
        if too_large is None
        else Interval(low=largest, high=max(largest, too_large - 1)),
        caveats=tuple(_caveats(runs, choice)),
        search=search(runs.view),
        dataset_size=dataset_size,
        reference=found,
        script_check=None if last is None else _check(choice, last),
    )


def _interval(size: int, run: ScriptRun) -> Interval | None:
    low_s, high_s = typical_interval_s(run.step_times_s)
    return Interval(low=size / high_s, high=size / low_s) if low_s > 0 else None


def _check(choice: MeasuredSetting, run: ScriptRun) -> ScriptCheck:
    """Return the last run beside the one that the choice rests on."""
    setting = run.setting
    return ScriptCheck(
        step_count=run.step_count,
        predicted_peak_bytes=choice.run.peak_bytes,
        micro_batch_size=None if setting is None else setting.micro_batch_size,
        accumulation_steps=None if setting is None else setting.accumulation_steps,
        learning_rate=None if setting is None else setting.learning_rate,
        peak_bytes=run.peak_bytes,
        samples_per_s=choice.setting.effective_batch_size / typical_time_s(run.step_times_s),
        predicted_samples_per_s=choice.samples_per_s,
        predicted_samples_per_s_interval=_interval(choice.setting.effective_batch_size, choice.run),
    )


def _caveats(runs: CommandSearch, choice: MeasuredSetting) -> Iterator[Caveat]:
    setting, now = choice.setting, runs.known.setting
    yield Caveat(
        code=CaveatCode.NO_LOSSES_COMPARED,
        text="Runs of the command show memory and speed, not how well it trains: no losses were "
        "compared, and this batch is the smallest of about the highest throughput.",
    )
    if Quantity.LEARNING_RATE not in runs.known.quantities:
        ratio = setting.effective_batch_size / now.effective_batch_size
        rate = scale_learning_rate(runs.known.family, now.learning_rate, ratio)
        yield Caveat(
            code=CaveatCode.NO_LOSSES_COMPARED,
            text="The command has no {lr}, so that the rate stays "
            f"{number_text(now.learning_rate)}; for this batch the rule gives {number_text(rate)}: "
            f"{describe_rule(runs.known.family)}.",
        )
    if runs.smallest_that_does_not_fit is None:
        largest = runs.measured[-1].setting.micro_batch_size
        yield Caveat(
            code=CaveatCode.MEMORY_SEARCH_CUT_SHORT,
            text=f"No batch of more than {largest:,} was run: more may fit.",
        )
    yield from _about_last_run(runs, choice)
    if runs.view.reference is not None:
        yield from caveats_of_reference(runs.view.reference)


def _about_last_run(runs: CommandSearch, choice: MeasuredSetting) -> Iterator[Caveat]:
    if runs.last_run is None:
        yield Caveat(
            code=CaveatCode.NOT_VERIFIED,
            text="Not verified: the search was stopped before this setting was run once more.",
        )
        return
    check, size = _check(choice, runs.last_run), choice.setting.micro_batch_size
    found = list(measured_differences(check, runs.view.tuning.answer.script_check))
    if check.micro_batch_size not in (None, size):
        found.insert(0, f"trained with batches of {check.micro_batch_size:,}, not {size:,}")
    if found:
        yield Caveat(
            code=CaveatCode.SCRIPT_CHECK_DIFFERS,
            text=f"Your command, run once more with these values, {', and '.join(found)}.",
        )
