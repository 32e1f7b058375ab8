"""Two reports beside each other, and where they differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bsadvise.model.advice import Advice
from bsadvise.model.explanation import Findings
from bsadvise.model.units import format_bytes, format_number, format_seconds
from bsadvise.report.making import make_report
from bsadvise.report.values import Figure, Report, Table

Shown = Callable[[Advice], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two jobs beside each other.

    Attributes:
        reports: Of both.
        differences: What is known of each, row by row; the last column says whether they differ.
        figures: Each figure that either has, with None where one lacks it.
    """

    reports: tuple[Report, Report]
    differences: Table
    figures: tuple[tuple[Figure | None, Figure | None], ...]


def compare(first: Findings, second: Findings) -> Comparison:
    """Return two jobs beside each other."""
    one, other = make_report(first), make_report(second)
    named = {figure.name: figure for figure in one.figures}
    named_other = {figure.name: figure for figure in other.figures}
    order = list(named) + [name for name in named_other if name not in named]
    return Comparison(
        reports=(one, other),
        differences=_differences(one, other, first, second),
        figures=tuple((named.get(name), named_other.get(name)) for name in order),
    )


def _differences(one: Report, other: Report, first: Findings, second: Findings) -> Table:
    rows: list[tuple[str, str, str]] = [
        ("model", one.model_name, other.model_name),
        ("device", one.device, other.device),
        ("answer", one.headline, other.headline),
    ]
    settings = [dict(_pairs(report.settings)) for report in (one, other)]
    names = list(settings[0]) + [name for name in settings[1] if name not in settings[0]]
    rows += [(name, *(said.get(name, "-") for said in settings)) for name in names]  # type: ignore[misc]  # two
    advices = (first.recommendation.advice, second.recommendation.advice)
    for name, show in _FIGURES:
        shown = [(show(advice) if advice else None) or "-" for advice in advices]
        if any(text != "-" for text in shown):
            rows.append((name, shown[0], shown[1]))
    return Table(
        head=("", "A", "B", "differs"),
        rows=tuple((*row, "" if row[1] == row[2] else "yes") for row in rows),
    )


def _pairs(table: Table) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in table.rows]


def _bytes(value: int | None) -> str | None:
    return None if value is None else format_bytes(value)


def _number(value: float | None) -> str | None:
    return None if value is None else format_number(value)


def _seconds(value: float | None) -> str | None:
    return None if value is None else format_seconds(value)


_FIGURES: tuple[tuple[str, Shown], ...] = (
    ("largest micro-batch", lambda advice: f"{advice.max_micro_batch_size:,}"),
    ("peak memory, measured", lambda advice: _bytes(advice.measured_peak_bytes)),
    ("peak memory, predicted", lambda advice: _bytes(advice.predicted_peak_bytes)),
    ("memory budget", lambda advice: _bytes(advice.budget_bytes)),
    ("samples a second", lambda advice: _number(advice.samples_per_s)),
    ("step", lambda advice: _seconds(advice.step_time_s)),
    ("epoch", lambda advice: _seconds(advice.time_per_epoch_s)),
    ("noise scale, samples", lambda advice: _number(advice.noise_scale)),
    ("critical batch, samples", lambda advice: _number(advice.critical_batch_size)),
    ("speedup over the recipe", lambda advice: _number(advice.expected_speedup_over_reference)),
    ("trials", lambda advice: f"{advice.search.trial_count:,}"),
    ("the search took", lambda advice: _seconds(advice.search.wall_s)),
)
