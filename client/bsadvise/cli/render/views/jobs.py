"""Recommendations as the daemon keeps them, and their logs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from bsadvise.cli.render.views.advice import advice_view
from bsadvise.cli.render.views.layout import pairs, sections
from bsadvise.model.commands import stage_of
from bsadvise.model.measurements import Measurement
from bsadvise.model.recommendation import Recommendation
from bsadvise.model.units import format_seconds
from bsadvise.phrases import (
    describe_advice,
    describe_command,
    describe_outcome,
)


def jobs_view(recommendations: Sequence[Recommendation]) -> RenderableType:
    """Return recommendations for a person."""
    if not recommendations:
        return Text("There are none.")
    width = max(len(one.recommendation_id) for one in recommendations)
    return Group(*(line for one in recommendations for line in _entry_lines(one, width)))


def _entry_lines(recommendation: Recommendation, width: int) -> tuple[RenderableType, ...]:
    """Return two lines: an id is too long to have all that matters beside it."""
    first = Text.assemble(
        (f"{recommendation.recommendation_id:<{width}}", "bold"),
        f"  {recommendation.state!s:<9}  {_time(recommendation.created_at_s, '%d %b %H:%M')}",
    )
    advice = recommendation.advice
    what = (
        recommendation.request.source.entry_path,
        recommendation.device.name,
        *((describe_advice(advice),) if advice else ()),
    )
    return first, Padding.indent(Text("  ".join(what)), 2)


def job_view(
    recommendation: Recommendation,
    log: Sequence[Measurement] | None = None,
    *,
    explained_by: str | None = None,
    plots: RenderableType | None = None,
) -> RenderableType:
    """Return a recommendation for a person.

    Args:
        recommendation: The recommendation.
        log: Its measurements, to be shown too.
        plots: Drawings of them, to be shown too.
        explained_by: As of ``advice_view``.
    """
    answer: RenderableType | None = None
    if recommendation.advice is not None:
        answer = advice_view(
            recommendation.advice,
            recommendation.request.source.entry_path,
            explained_by=explained_by,
        )
    elif recommendation.refusal is not None:
        answer = Text(f"{recommendation.refusal.code}: {recommendation.refusal.message}")
    return sections(
        (f"Recommendation {recommendation.recommendation_id}", pairs(_facts(recommendation))),
        ("Log", _log(log) if log is not None else None),
        ("", plots),
        ("Answer", answer),
    )


def _facts(recommendation: Recommendation) -> list[tuple[str, str]]:
    stopping = recommendation.cancel_requested and not recommendation.state.is_final
    return [
        ("state", f"{recommendation.state}{', stopping' if stopping else ''}"),
        ("model", recommendation.request.source.entry_path),
        ("device", recommendation.device.name),
        ("created", _time(recommendation.created_at_s)),
        ("updated", _time(recommendation.updated_at_s)),
        ("request id", recommendation.request_id),
    ]


def _log(log: Sequence[Measurement]) -> RenderableType:
    return pairs(
        (f"{position} {stage_of(one.command)}", _entry(one))
        for position, one in enumerate(log, start=1)
    )


def _entry(entry: Measurement) -> str:
    what, outcome = describe_command(entry.command), describe_outcome(entry.outcome)
    return f"{what}: {outcome} ({format_seconds(entry.wall_s)})"


def _time(at_s: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime(form)
