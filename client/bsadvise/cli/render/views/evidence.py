"""What each part of an answer rests on, in words."""

from __future__ import annotations

from rich.text import Text

from bsadvise.cli.render.views.energy import cost_words, energy_words
from bsadvise.cli.render.views.related_hyperparameters import gradient_norm_words
from bsadvise.model.advice import Advice, Evidence, Interval
from bsadvise.model.horizon import TrainingHorizon
from bsadvise.model.task import BatchSemantics
from bsadvise.model.units import format_bytes, format_number, format_seconds

_VERIFIED = Text("verified in a fresh process", style="green")
_NOT_VERIFIED = Text("NO: this setting was not run", style="bold yellow")
_LOSSES = {
    BatchSemantics.SUM: "the sum over its samples",
    BatchSemantics.WEIGHTED_MEAN: "a weighted mean over its samples",
    BatchSemantics.COUPLED: "of its samples together: what one adds depends on the others",
    BatchSemantics.BATCH_NORMALISED: "the mean over its samples, normalised together in training",
}


def evidence_rows(advice: Advice) -> dict[str, str | Text]:
    """Return what is known of an answer, by what it is about."""
    rows: list[tuple[str, str | Text | None]] = [
        ("found", None if advice.reference is None else str(advice.reference)),
        ("verification", _VERIFIED if advice.verified else _NOT_VERIFIED),
        ("your own script", None if advice.script_check is None else str(advice.script_check)),
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
    return {name: value for name, value in rows if value is not None}


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
        return f"{words}{_carried(horizon)}"
    is_measured = advice.lr_evidence is Evidence.MEASURED
    return f"{_TRIALS_ALONE}; not measured for {words}" if is_measured else f"not measured: {words}"


def _carried(horizon: TrainingHorizon) -> str:
    """Return how far the setting was carried to this length."""
    if (horizon.carried_factor or 1) <= 1 and horizon.rate_factor == 1:
        return "; trained for just that"
    words = f"; carried {format_number(horizon.carried_factor or 1)} x"
    if horizon.batch_factor is None or horizon.rate_factor is None:
        return words
    return (
        f"{words}: batch x {format_number(horizon.batch_factor)}, peak rate x "
        f"{format_number(horizon.rate_factor)}"
    )


def _final_loss(advice: Advice) -> str | None:
    loss = advice.expected_final_loss
    if loss is None:
        return None
    if loss.low == loss.high:
        return f"{format_number(loss.value)} measured, in one training"
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
    """Return what chose the rate: the rule that led to a batch's first one is not named then."""
    if advice.lr_evidence is not Evidence.MEASURED:
        return f"rule, not measured: {advice.lr_rule}" if advice.lr_rule else "rule, not measured"
    factor = None if advice.horizon is None else advice.horizon.rate_factor
    if factor is None or factor == 1:
        return "measured in trials" if factor is None else "measured in trainings of this length"
    return f"measured in short complete trainings, and carried x {format_number(factor)} by a law"


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
