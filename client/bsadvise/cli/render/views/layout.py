"""The few shapes that all views are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest

from rich.console import Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bsadvise.printable import printable

_INDENT = 2


def pairs(rows: Iterable[tuple[str, str | Text]]) -> RenderableType:
    """Return names with what they stand for, in two columns."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(_cell(name), _cell(value) if isinstance(value, str) else value)
    return Padding.indent(table, _INDENT)


def pairs_abreast(rows: Sequence[tuple[str, str]]) -> RenderableType:
    """Return names with what they stand for, the second half of them to the right of the first."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in ("left", "right"):
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
    half = (len(rows) + 1) // 2
    for left, right in zip_longest(rows[:half], rows[half:], fillvalue=("", "")):
        table.add_row(*map(_cell, (*left, *right)))
    return Padding.indent(table, _INDENT)


def table_of(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    figures: Collection[str] = (),
    gap_columns: int = 2,
) -> RenderableType:
    """Return rows under a head; the columns named in ``figures`` stand to the right."""
    table = Table(box=None, padding=(0, gap_columns, 0, 0), header_style="dim")
    for position, name in enumerate(head):
        justify: JustifyMethod = "right" if name in figures else "left"
        table.add_column(Text(name), justify=justify, overflow="fold", no_wrap=not position)
    for row in rows:
        table.add_row(*map(_cell, row))
    return Padding.indent(table, _INDENT)


def bullets(sentences: Iterable[str]) -> RenderableType:
    """Return sentences, one below the other."""
    table = Table.grid(padding=(0, 1, 0, 0))
    for sentence in sentences:
        table.add_row(Text("-"), _cell(sentence))
    return Padding.indent(table, _INDENT)


def sections(*parts: tuple[str, RenderableType | None]) -> RenderableType:
    """Return titled parts with a blank line between; parts that are None are left out."""
    lines: list[RenderableType] = []
    for title, content in parts:
        if content is None:
            continue
        if lines:
            lines.append(Text(""))
        if title:
            lines.append(Text(title, style="bold"))
        lines.append(content)
    return Group(*lines)


def _cell(text: str) -> Text:
    # Written out before columns are measured: it takes more of them.
    return Text(printable(text))
