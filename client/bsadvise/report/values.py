"""What a report says, before it is drawn: text, tables and figures as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Spec = Mapping[str, Any]
"""A figure in Vega-Lite, https://vega.github.io/vega-lite/: data and encodings, no pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a head.

    Attributes:
        head: The columns' names, units among them.
        rows: Cells as text, as many a row as columns.
        numeric: Places of the columns that stand to the right.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure, its words, and the numbers behind it.

    Attributes:
        name: A word for links, unique on a page.
        title: What it shows.
        description: What there is to see, with numbers, for who cannot see it and for who can.
        spec: How it is drawn; None where the table alone says it better.
        table: What is drawn.
    """

    name: str
    title: str
    description: str
    spec: Spec | None
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One job's report.

    Attributes:
        job_id: Which job; empty where the report is of an advice alone.
        model_name: The entry file.
        device: The device's name.
        headline: The setting, in large; or why there is none.
        is_answer: Whether there is a setting.
        settings: Each value of the setting with its name, as it is typed.
        changes: What to change, from what, to what, and where.
        notes: What to write by hand.
        why: At most three sentences with numbers.
        caveats: What the user should know.
        fault: Traceback and output of the user's code, where that ended the job.
        figures: In the order of a page.
        log: Every measurement.
        reasons: The sentences that the log's last column numbers, from 1.
        document: All of it for programs.
        made_by: Release of bsadvise.
    """

    job_id: str
    model_name: str
    device: str
    headline: str
    is_answer: bool
    settings: Table
    changes: Table
    notes: tuple[str, ...]
    why: tuple[str, ...]
    caveats: tuple[str, ...]
    fault: str
    figures: tuple[Figure, ...]
    log: Table
    reasons: tuple[str, ...]
    document: Mapping[str, Any]
    made_by: str
