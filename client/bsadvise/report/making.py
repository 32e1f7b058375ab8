"""Makes a report of what is kept of a job: a pure function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bsadvise.exports.changes.finding import find_changes
from bsadvise.exports.changes.values import Changes, Sources
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import REFERENCE_TRIAL, Train, stage_of
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.explanation import Findings
from bsadvise.model.measurements import Fault, Measurement
from bsadvise.model.recommendation import Recommendation, State
from bsadvise.model.request import AdviceRequest, EntryKind, Source
from bsadvise.model.units import format_rate, format_seconds
from bsadvise.phrases import describe_advice, describe_command, describe_outcome
from bsadvise.report.figures.horizon import horizon_figure
from bsadvise.report.figures.losses import losses_figure
from bsadvise.report.figures.memory import memory_figure
from bsadvise.report.figures.noise import noise_figure
from bsadvise.report.figures.settings_map import settings_map_figure
from bsadvise.report.figures.target_time import target_time_figure
from bsadvise.report.figures.throughput import throughput_figure
from bsadvise.report.figures.timeline import timeline_figure
from bsadvise.report.reasons import reasons_for
from bsadvise.report.trials import shown_trials
from bsadvise.report.values import Figure, Report, Table
from bsadvise.version import __version__

_MOST_ROWS = 500
"""Of the log: of a longer one the middle is in the document alone."""

_MOST_TEXT = 300
"""Characters of a cell: an error's message may be longer, and is whole in the document."""


def make_report(findings: Findings, changes: Changes | None = None) -> Report:
    """Return the report of a job.

    Args:
        findings: All that is kept of it.
        changes: What to change in the user's files; None where they are not at hand: then what is
            known of them from the job.
    """
    recommendation = findings.recommendation
    advice, refusal = recommendation.advice, recommendation.refusal
    is_answer = advice is not None and not _is_observed(advice)
    if changes is None:
        changes = _known_changes(findings)
    reasons = _distinct_reasons(findings)
    return Report(
        job_id=recommendation.recommendation_id,
        model_name=recommendation.request.source.entry_path,
        device=recommendation.device.name,
        headline=_headline(findings),
        is_answer=is_answer,
        settings=_settings(advice) if advice is not None and is_answer else _table((), ()),
        changes=_changes(changes, findings) if is_answer else _table((), ()),
        notes=(*changes.notes, *((changes.command,) if changes.command else ())),
        why=reasons_for(findings),
        caveats=() if advice is None else tuple(one.text for one in advice.caveats),
        fault="" if refusal is None else _fault(refusal.fault),
        figures=figures_of(findings),
        log=_log(findings, reasons),
        reasons=reasons,
        document=_document(findings),
        made_by=__version__,
    )


def findings_without_log(advice: Advice) -> Findings:
    """Return what an advice says by itself, as of a job of which nothing else is known."""
    device = Device(
        device_id="", name=advice.device, kind=DeviceKind.unknown(0), present=False, total_bytes=0
    )
    return Findings(
        recommendation=Recommendation(
            recommendation_id="",
            request_id="",
            request=AdviceRequest(source=Source(digest="", entry_path="")),
            device=device,
            fingerprint=advice.fingerprint,
            state=State.SUCCEEDED,
            created_at_s=0.0,
            updated_at_s=0.0,
            advice=advice,
        ),
        log=(),
    )


def figures_of(findings: Findings) -> tuple[Figure, ...]:
    """Return the figures that a job has something to show in, in the order of a page."""
    trials = shown_trials(findings)
    found = (
        memory_figure(findings),
        throughput_figure(findings),
        target_time_figure(findings, trials),
        losses_figure(findings, trials),
        settings_map_figure(findings, trials),
        noise_figure(findings),
        horizon_figure(findings),
        timeline_figure(findings),
    )
    return tuple(figure for figure in found if figure is not None)


def _is_observed(advice: Advice) -> bool:
    return any(one.code == CaveatCode.OBSERVED_ONLY for one in advice.caveats)


def _headline(findings: Findings) -> str:
    recommendation = findings.recommendation
    advice, refusal = recommendation.advice, recommendation.refusal
    if advice is not None and _is_observed(advice):
        return f"Observed: {advice.reference}"
    if advice is not None:
        return describe_advice(advice)
    if refusal is not None:
        return f"No setting: {str(refusal.code).replace('_', ' ')}"
    return f"No setting: the job is {recommendation.state}"


def _settings(advice: Advice) -> Table:
    horizon = advice.horizon
    rows: Sequence[tuple[str, object]] = (
        ("micro_batch_size", advice.micro_batch_size),
        ("accumulation_steps", advice.accumulation_steps),
        ("world_size", advice.world_size),
        ("effective_batch_size", advice.effective_batch_size),
        ("learning_rate", format_rate(advice.learning_rate)),
        ("warmup_steps", advice.warmup_steps),
        ("total_steps", horizon and horizon.total_steps),
        ("weight_decay", advice.weight_decay),
        ("betas", ", ".join(f"{beta:g}" for beta in advice.betas) or None),
        ("momentum", advice.momentum),
        ("precision", advice.precision),
        ("num_workers", advice.loader_workers),
        ("drop_last", advice.drop_last or None),
        ("verified", "yes, in a fresh process" if advice.verified else "NO: it was not run"),
        ("your own script", advice.script_check),
        ("confidence", advice.confidence),
    )
    return _table(
        ("setting", "value"), tuple((n, str(value)) for n, value in rows if value is not None)
    )


def _known_changes(findings: Findings) -> Changes:
    """Return what is to be changed as far as the job tells, without the user's files."""
    advice, source = findings.recommendation.advice, findings.recommendation.request.source
    if advice is None or _is_observed(advice):
        return Changes()
    return find_changes(
        advice,
        Sources(
            entry_path=source.entry_path,
            entry_kind=source.entry_kind or EntryKind.MODEL_FILE,
            files={},
            arguments=source.arguments,
        ),
    )


def _changes(changes: Changes, findings: Findings) -> Table:
    rows = tuple(
        (
            one.what,
            one.before,
            one.after,
            one.where if one.is_confirmed else f"{one.where} (not confirmed)",
        )
        for one in changes.values
    )
    return _table(("what", "from", "to", "where"), rows or tuple(_from_recipe(findings)))


def _from_recipe(findings: Findings) -> Iterator[tuple[str, ...]]:
    """Yield what differs from the recipe that was trained, where its places are not known."""
    advice = findings.recommendation.advice
    trained = (one.command for one in findings.log if isinstance(one.command, Train))
    recipe = next(trained, None)
    if advice is None or recipe is None or recipe.trial not in (None, REFERENCE_TRIAL):
        return
    for name, before, after in (
        ("effective_batch_size", recipe.effective_batch_size, advice.effective_batch_size),
        ("learning_rate", recipe.learning_rate, advice.learning_rate),
    ):
        if before != after:
            yield name, f"{before:g}", f"{after:g}", "your recipe"


def _fault(fault: Fault | None) -> str:
    if fault is None:
        return ""
    printed = f"It had printed:\n{fault.output}" if fault.output else ""
    return "\n\n".join(text for text in (fault.traceback or "", printed) if text)


def _distinct_reasons(findings: Findings) -> tuple[str, ...]:
    known = () if findings.explanation is None else findings.explanation.reasons
    return tuple(dict.fromkeys(reason for reason in known if reason))


def _log(findings: Findings, reasons: tuple[str, ...]) -> Table:
    number_of = {reason: str(number) for number, reason in enumerate(reasons, start=1)}
    said = () if findings.explanation is None else findings.explanation.reasons
    rows = tuple(
        (*_entry(number, entry), number_of.get(said[number - 1], "") if said else "")
        for number, entry in enumerate(findings.log, start=1)
    )
    if len(rows) > _MOST_ROWS:
        half, left_out = _MOST_ROWS // 2, len(rows) - _MOST_ROWS
        rows = (*rows[:half], ("…", "", f"{left_out:,} more", "", "", ""), *rows[-half:])
    head = ("#", "stage", "what was measured", "what came of it", "took", "why")
    return _table(head, rows, numeric=(0, 4, 5))


def _entry(number: int, entry: Measurement) -> tuple[str, ...]:
    return (
        str(number),
        str(stage_of(entry.command)),
        describe_command(entry.command),
        _cut(describe_outcome(entry.outcome)),
        format_seconds(entry.wall_s),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"


def _document(findings: Findings) -> dict[str, Any]:
    explanation = findings.explanation
    return {
        "recommendation": findings.recommendation.to_dict(),
        "measurements": [entry.to_dict() for entry in findings.log],
        "explanation": None if explanation is None else explanation.to_dict(),
    }


def _table(
    head: tuple[str, ...], rows: tuple[tuple[str, ...], ...], numeric: Sequence[int] = ()
) -> Table:
    return Table(head=head, rows=rows, numeric=frozenset(numeric))
