"""The answer: settings to copy, what each rests on, and what to know before using them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from bsadvise.cli.render.views.changes import change_rows
from bsadvise.cli.render.views.evidence import evidence_rows
from bsadvise.cli.render.views.layout import bullets, pairs, pairs_abreast, sections, table_of
from bsadvise.cli.render.views.memory_savings import memory_savings_view
from bsadvise.cli.render.views.related_hyperparameters import (
    related_hyperparameter_rows,
    rule_of_thumb_rows,
)
from bsadvise.cli.render.views.screen import Part, Screen
from bsadvise.cli.render.views.settings import setting_rows
from bsadvise.exports.changes.values import Changes
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import worst_first
from bsadvise.model.units import format_bytes, format_number, format_rate, format_seconds
from bsadvise.phrases import describe_advice

ALTERNATIVES_HEAD = ("", "micro", "accum", "batch", "lr", "peak", "samples/s", "time", "samples")
_UNKNOWN = "-"
_WHY = (
    "verification", "your own script", "confidence", "from cache", "learning rate", "holds for",
    "final loss", "memory", "throughput", "cost", "loss of a batch", "noise scale",
    "largest batch", "energy", "gradients", "data order",
)  # fmt: skip
"""What an answer rests on, the most important first."""
_SETTINGS = ("setting", "settings")
_CHANGES = ("change, as --diff prints", "changes, as --diff prints")
_EVIDENCE = ("line of evidence", "lines of evidence")
_FIGURES = ("figure", "figures")
_CAVEATS = ("caveat", "caveats")
_RECIPE = {"found": "your recipe", "speedup": "speedup"}


def advice_view(
    advice: Advice,
    model_name: str | None = None,
    changes: Changes | None = None,
    *,
    explained_by: str | None = None,
) -> RenderableType:
    """Return the answer for a person: all of it, or what fits on a screen.

    Args:
        advice: The answer.
        model_name: What the user calls the model; None where that is not known.
        changes: What to change to train with it; None where the files are not at hand.
        explained_by: The command that shows all of it, for an answer that fits on a screen; None
            for all of it.
    """
    place = "  " if model_name is None else f"  for {model_name} "
    heading = Text.assemble((describe_advice(advice), "bold"), f"{place}on {advice.device}")
    to_change = [] if changes is None else change_rows(changes)
    if explained_by is not None:
        return _screen(advice, heading, to_change, explained_by)
    return sections(
        ("", heading),
        ("Settings", pairs(setting_rows(advice))),
        ("Apply", pairs(to_change) if to_change else None),
        (
            "By published rules, not run",
            pairs(related_hyperparameter_rows(advice)) if advice.companions else None,
        ),
        ("Evidence", pairs(evidence_rows(advice).items())),
        ("Ways to save memory", memory_savings_view(advice.levers) if advice.levers else None),
        ("Caveats", bullets(_caveats(advice)) if advice.caveats else None),
        ("Alternatives", _alternatives(advice) if advice.alternatives else None),
        (
            "Rules of thumb for the batch, not the advice",
            pairs(rule_of_thumb_rows(advice)) if advice.rules_of_thumb else None,
        ),
        ("Search", pairs(search_rows(advice))),
    )


def _screen(
    advice: Advice, heading: Text, to_change: Sequence[tuple[str, str]], explained_by: str
) -> Screen:
    known = {**dict(search_rows(advice)), **evidence_rows(advice)}
    why = [(name, known[name]) for name in _WHY if name in known]
    recipe = [(title, known[name]) for name, title in _RECIPE.items() if name in known]
    elsewhere = [
        words
        for words, is_there in (
            ("related hyperparameters", advice.companions),
            ("ways to save memory", advice.levers),
            ("alternatives", advice.alternatives),
            ("rules of thumb", advice.rules_of_thumb),
            ("the search", True),
        )
        if is_there
    ]
    return Screen(
        heading,
        (
            Part("Settings", setting_rows(advice), pairs_abreast, _SETTINGS, least_lines=8),
            Part("Apply", to_change, pairs, _CHANGES, least_lines=6),
            Part("Why", why, pairs, _EVIDENCE, least_lines=5),
            Part("Compared with your recipe", recipe, pairs, _FIGURES, least_lines=2),
            Part("Caveats", _caveats(advice), bullets, _CAVEATS, least_lines=3),
        ),
        explained_by,
        elsewhere,
    )


def _caveats(advice: Advice) -> list[str]:
    return [one.text for one in worst_first(advice.caveats)]


def _alternatives(advice: Advice) -> RenderableType:
    head = ALTERNATIVES_HEAD
    return table_of(head, alternative_rows(advice), figures=head, gap_columns=1)


def alternative_rows(advice: Advice) -> list[tuple[str, ...]]:
    """Return the other settings, under ``ALTERNATIVES_HEAD``."""
    return [
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


def _times(ratio: float | None) -> str:
    return _UNKNOWN if ratio is None else f"{format_number(ratio)} x"


def search_rows(advice: Advice) -> list[tuple[str, str]]:
    """Return what finding the answer took."""
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
