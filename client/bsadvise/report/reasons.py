"""Why this setting, in three sentences with numbers: what fits, what is fast, what learns."""

from __future__ import annotations

from collections.abc import Sequence

from bsadvise.model.advice import Advice, Evidence
from bsadvise.model.explanation import Findings
from bsadvise.model.units import format_bytes, format_number, format_rate
from bsadvise.report.figures.throughput import (
    knee_of,
    limits_of,
    loaded_per_s,
    timed_steps,
)
from bsadvise.report.trials import ShownTrial, Standing, count_of, shown_trials


def reasons_for(findings: Findings) -> tuple[str, ...]:
    """Return the sentences; for a job without advice, why there is none."""
    recommendation = findings.recommendation
    advice, refusal = recommendation.advice, recommendation.refusal
    if advice is None:
        return () if refusal is None else (refusal.message,)
    found = (_memory(advice), _speed(findings, advice), _learning(advice, shown_trials(findings)))
    return tuple(sentence for sentence in found if sentence)


def _memory(advice: Advice) -> str:
    measured, predicted = advice.measured_peak_bytes, advice.predicted_peak_bytes
    peak_bytes = measured if measured is not None else predicted
    words = f"Up to {advice.max_micro_batch_size:,} samples a step fit into "
    words += format_bytes(advice.budget_bytes)
    if peak_bytes is None:
        return f"{words}."
    how = "predicted" if measured is None else "measured"
    return (
        f"{words}; the advised {advice.micro_batch_size:,} take {format_bytes(peak_bytes)} ({how})."
    )


def _speed(findings: Findings, advice: Advice) -> str:
    timed = timed_steps(findings.log)
    if not timed:
        return (
            ""
            if advice.samples_per_s is None
            else (f"It trains on {format_number(advice.samples_per_s)} samples a second.")
        )
    knee, limits = knee_of(timed), limits_of(timed, loaded_per_s(findings.log))
    per_s = advice.samples_per_s or knee.samples_per_s
    nearest = min(timed, key=lambda one: abs(one.micro_batch_size - advice.micro_batch_size))
    what = {
        "loading": "where the data loader is the limit",
        "launch": "where launching operations is the limit",
        "compute": "where computing is the limit",
    }[limits[nearest.micro_batch_size]]
    return (
        f"It trains on {format_number(per_s)} samples a second, {what}; more than "
        f"{knee.micro_batch_size:,} at once gain at most a tenth."
    )


def _learning(advice: Advice, trials: Sequence[ShownTrial]) -> str:
    if advice.lr_evidence is not Evidence.MEASURED or not trials:
        rule = f" ({advice.lr_rule})" if advice.lr_rule else ""
        return f"The learning rate follows from a rule{rule}; no trial compared it."
    setting = f"batch {advice.effective_batch_size:,} at rate {format_rate(advice.learning_rate)}"
    words = f"Of {len(trials):,} settings that were trained, {setting} leads"
    if len(trials) == 1:
        words = f"Only your recipe was trained: {setting} follows from it"
    tied = count_of(trials, Standing.TIED)
    if tied:
        words += f", {tied:,} more {'is' if tied == 1 else 'are'} as good within the noise"
    speedup, interval = advice.expected_speedup_over_reference, advice.expected_speedup_interval
    if speedup is not None:
        words += f"; it is {format_number(speedup)} times as fast to the target as your recipe"
        if interval is not None:
            words += f" (80 %: {format_number(interval.low)} to {format_number(interval.high)})"
    return f"{words}."
