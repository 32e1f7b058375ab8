"""The answer: settings to copy, what each rests on, and what to know before using them."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from bsadvise.cli.render.phrases import describe_advice
from bsadvise.cli.render.views.changes import change_rows
from bsadvise.cli.render.views.energy import cost_words, energy_words
from bsadvise.cli.render.views.layout import bullets, pairs, sections, table_of
from bsadvise.cli.render.views.memory_savings import memory_savings_view
from bsadvise.cli.render.views.related_hyperparameters import (
    gradient_norm_words,
    related_hyperparameter_rows,
    rule_of_thumb_rows,
)
from bsadvise.exports.changes.values import Changes
from bsadvise.model.advice import Advice, Evidence, Interval, ScriptCheck
from bsadvise.model.task import BatchSemantics
from bsadvise.model.units import (
    format_bytes,
    format_number,
    format_rate,
    format_seconds,
)

_VERIFIED = Text("verified in a fresh process", style="green")
_NOT_VERIFIED = Text("NO: this setting was not run", style="bold yellow")
_UNKNOWN = "-"
_LOSSES = {
    BatchSemantics.SUM: "the sum over its samples",
    BatchSemantics.WEIGHTED_MEAN: "a weighted mean over its samples",
    BatchSemantics.COUPLED: "of its samples together: what one adds depends on the others",
    BatchSemantics.BATCH_NORMALISED: "the mean over its samples, normalised together in training",
}


def advice_view(advice: Advice, model_name: str, changes: Changes | None = None) -> RenderableType:
    """Return the answer for a person.

    Args:
        advice: The answer.
        model_name: What the user calls the model.
        changes: What to change to train with it; None where the files are not at hand.
    """
    headline = Text.assemble(
        (describe_advice(advice), "bold"), f"  for {model_name} on {advice.device}"
    )
    to_change = [] if changes is None else change_rows(changes)
    return sections(
        ("", headline),
        ("Settings", pairs(_settings(advice))),
        ("Apply", pairs(to_change) if to_change else None),
        (
            "By published rules, not run",
            pairs(related_hyperparameter_rows(advice)) if advice.companions else None,
        ),
        ("Evidence", pairs(_evidence(advice))),
        ("Ways to save memory", memory_savings_view(advice.levers) if advice.levers else None),
        ("Caveats", bullets(one.text for one in advice.caveats) if advice.caveats else None),
        ("Alternatives", _alternatives(advice) if advice.alternatives else None),
        (
            "Rules of thumb for the batch, not the advice",
            pairs(rule_of_thumb_rows(advice)) if advice.rules_of_thumb else None,
        ),
        ("Search", pairs(_search(advice))),
    )


def _settings(advice: Advice) -> list[tuple[str, str]]:
    rows: list[tuple[str, object]] = [
        ("micro_batch_size", advice.micro_batch_size),
        ("accumulation_steps", advice.accumulation_steps),
        ("world_size", advice.world_size),
        ("effective_batch_size", advice.effective_batch_size),
        ("learning_rate", f"{advice.learning_rate:.6g}"),
        ("warmup_steps", advice.warmup_steps),
        ("total_steps", advice.horizon.total_steps if advice.horizon else None),
        ("decay_steps", (advice.horizon and advice.horizon.decay_steps) or None),
        ("weight_decay", advice.weight_decay),
        ("betas", ", ".join(f"{beta:g}" for beta in advice.betas) or None),
        ("momentum", advice.momentum),
        ("batch_schedule", _schedule(advice)),
        ("precision", advice.precision),
        ("num_workers", advice.loader_workers),
        ("drop_last", advice.drop_last or None),
    ]
    return [(name, str(value)) for name, value in rows if value is not None]


def _schedule(advice: Advice) -> str | None:
    stages = [
        f"{s.effective_batch_size} from epoch {s.from_epoch:g}" for s in advice.batch_schedule
    ]
    return ", ".join(stages) or None


def _evidence(advice: Advice) -> list[tuple[str, str | Text]]:
    rows: list[tuple[str, str | Text | None]] = [
        ("found", None if advice.reference is None else str(advice.reference)),
        ("verification", _VERIFIED if advice.verified else _NOT_VERIFIED),
        (
            "your own script",
            None if advice.script_check is None else _own_script(advice.script_check),
        ),
        ("confidence", str(advice.confidence)),
        ("holds for", _horizon(advice)),
        ("final loss", _final_loss(advice)),
        ("learning rate", _learning_rate(advice)),
        ("loss of a batch", _loss_of_a_batch(advice)),
        ("memory", _memory(advice)),
        ("largest batch", _largest(advice)),
        ("throughput", _throughput(advice)),
        ("speedup", _speedup(advice)),
        ("noise scale", _noise_scale(advice)),
        ("energy", energy_words(advice)),
        ("cost", cost_words(advice)),
        ("gradients", gradient_norm_words(advice)),
        ("data order", _data_order(advice)),
    ]
    return [(name, value) for name, value in rows if value is not None]


def _own_script(check: ScriptCheck) -> str:
    words = f"{check.step_count:,} steps with these values"
    if check.peak_bytes is not None:
        words += f", peak {format_bytes(check.peak_bytes)}"
        if check.predicted_peak_bytes is not None:
            words += f" ({format_bytes(check.predicted_peak_bytes)} predicted)"
    if check.samples_per_s is not None:
        words += f", {format_number(check.samples_per_s)} samples/s"
        if check.predicted_samples_per_s is not None:
            words += f" ({format_number(check.predicted_samples_per_s)} predicted)"
    return words


_TRIALS_ALONE = "a constant rate, for about as long as trials ran"


def _horizon(advice: Advice) -> str | None:
    horizon = advice.horizon
    if horizon is None:
        if advice.lr_evidence is not Evidence.MEASURED:
            return None
        return f"{_TRIALS_ALONE}; --train-for asks for longer"
    words = f"{horizon.total_steps:,} steps ({horizon.total_samples:,} samples"
    if horizon.epochs is not None:
        words += f", {format_number(horizon.epochs)} epochs"
    if horizon.time_s is not None:
        words += f", about {format_seconds(horizon.time_s)}"
    words += f"), {horizon.schedule}"
    if horizon.warmup_steps or horizon.decay_steps:
        words += f": {horizon.warmup_steps:,} steps of warm-up, {horizon.decay_steps:,} of decay"
    if horizon.carried_factor is not None:
        return words
    is_measured = advice.lr_evidence is Evidence.MEASURED
    return f"{_TRIALS_ALONE}; not measured for {words}" if is_measured else f"not measured: {words}"


def _final_loss(advice: Advice) -> str | None:
    loss = advice.expected_final_loss
    if loss is None:
        return None
    return (
        f"{format_number(loss.value)} expected (80 %: {format_number(loss.low)} to "
        f"{format_number(loss.high)})"
    )


def _largest(advice: Advice) -> str:
    words = f"{advice.max_micro_batch_size:,} samples fit in the budget"
    interval = advice.max_micro_batch_size_interval
    if interval is not None:
        words += f" (≥ {interval.low:,.0f} measured to fit, ≤ {interval.high:,.0f} predicted)"
    size = advice.dataset_size
    if size is not None and size < advice.max_micro_batch_size:
        words += f"; the data set has {size:,}"
    return words


def _learning_rate(advice: Advice) -> str:
    how = "measured in trials" if advice.lr_evidence is Evidence.MEASURED else "rule, not measured"
    return f"{how}: {advice.lr_rule}" if advice.lr_rule else how


def _loss_of_a_batch(advice: Advice) -> str | None:
    semantics = advice.batch_semantics
    if semantics in (None, BatchSemantics.MEAN):
        return None
    return _LOSSES.get(semantics, str(semantics))


def _memory(advice: Advice) -> str:
    measured, predicted = advice.measured_peak_bytes, advice.predicted_peak_bytes
    known = measured if measured is not None else predicted
    if known is None:
        return f"peak not known; budget {format_bytes(advice.budget_bytes)}"
    share = _share(known, advice.budget_bytes)
    words = f"peak {format_bytes(known)} {'predicted' if measured is None else 'measured'}"
    words += f" of {format_bytes(advice.budget_bytes)} budget{share}"
    if measured is not None and predicted is not None:
        words += f"; {format_bytes(predicted)} had been predicted"
    return words


def _share(part: int, whole: int) -> str:
    if not whole:
        return ""
    return " (under 1%)" if part < whole / 100 else f" ({part / whole:.0%})"


def _throughput(advice: Advice) -> str | None:
    if advice.samples_per_s is None:
        return "not measured"
    words = f"{format_number(advice.samples_per_s)} samples/s"
    words += _interval(advice.samples_per_s_interval)
    if advice.step_time_s is not None:
        words += f", {format_seconds(advice.step_time_s)} a step"
    if advice.time_per_epoch_s is not None:
        words += f", {format_seconds(advice.time_per_epoch_s)} an epoch"
    if advice.steps_per_epoch is not None:
        words += f" of {advice.steps_per_epoch:,} steps"
    # A step is timed without the loader, which an epoch may spend most of its time on.
    return words if advice.time_per_epoch_s is None else f"{words}, loading included"


def _speedup(advice: Advice) -> str | None:
    speedup = advice.expected_speedup_over_reference
    if speedup is None:
        return None
    return (
        f"{format_number(speedup)} x{_interval(advice.expected_speedup_interval)} over the "
        "reference recipe, modelled time to the target"
    )


def _noise_scale(advice: Advice) -> str | None:
    if advice.noise_scale is None:
        return None
    words = f"{format_number(advice.noise_scale)} samples{_interval(advice.noise_scale_interval)}"
    if advice.critical_batch_size is not None:
        words += f"; critical batch {format_number(advice.critical_batch_size)}"
    return words


def _data_order(advice: Advice) -> str | None:
    ratio = advice.order_variance_ratio
    if ratio is None:
        return None
    return f"as stored, gradients vary {format_number(ratio)} x as much between batches as shuffled"


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f" (80 %: {format_number(interval.low)} to {format_number(interval.high)})"


def _alternatives(advice: Advice) -> RenderableType:
    head = ("", "micro", "accum", "batch", "lr", "peak", "samples/s", "time", "samples")
    rows = [
        (
            one.title,
            str(one.micro_batch_size),
            str(one.accumulation_steps),
            str(one.effective_batch_size),
            format_rate(one.learning_rate),
            _UNKNOWN
            if one.predicted_peak_bytes is None
            else format_bytes(one.predicted_peak_bytes),
            _UNKNOWN if one.samples_per_s is None else format_number(one.samples_per_s),
            _times(one.relative_time),
            _times(one.relative_samples),
        )
        for one in advice.alternatives
    ]
    return table_of(head, rows, figures=head)


def _times(ratio: float | None) -> str:
    return _UNKNOWN if ratio is None else f"{format_number(ratio)} x"


def _search(advice: Advice) -> list[tuple[str, str]]:
    search = advice.search
    memory = (
        f"{search.trace_count} traces, {search.probe_count} real runs of "
        f"{search.probe_samples:,} samples, {search.out_of_memory_count} out of memory"
    )
    rows = [
        ("measured for", format_seconds(search.wall_s)),
        ("memory", memory),
        ("trials", f"{search.trial_count}, {search.pruned_count} of them stopped early"),
    ]
    if advice.outlook is not None:
        rows.append(("more budget", advice.outlook))
    if search.cache_hit:
        rows.insert(0, ("from cache", "found, not measured again; --no-cache measures anew"))
    return rows
