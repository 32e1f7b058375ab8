"""The answer as notebooks show it: text for those without HTML, and HTML that needs no script.

Untrusted notebooks remove scripts and styles, and so there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rich.text import Text

from bsadvise.cli.render.output import view_text
from bsadvise.cli.render.views.advice import (
    ALTERNATIVES_HEAD,
    advice_view,
    alternative_rows,
    search_rows,
)
from bsadvise.cli.render.views.evidence import evidence_rows
from bsadvise.cli.render.views.observation import observation_view
from bsadvise.cli.render.views.settings import setting_rows
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import CaveatCode, worst_first
from bsadvise.phrases import describe_advice
from bsadvise.printable import printable


def mime_bundle(advice: Advice) -> dict[str, str]:
    """Return the answer by MIME type: "text/plain" and "text/html"."""
    if any(one.code == CaveatCode.OBSERVED_ONLY for one in advice.caveats):
        text = view_text(observation_view(advice))
        return {"text/plain": text, "text/html": f"<pre>{_escaped(text)}</pre>"}
    return {"text/plain": view_text(advice_view(advice)), "text/html": advice_html(advice)}


def advice_html(advice: Advice) -> str:
    """Return the answer as a fragment of HTML: the setting, what it rests on below."""
    headline = f"<strong>{_escaped(describe_advice(advice))}</strong> on {_escaped(advice.device)}"
    caveats = "".join(f"<li>{_escaped(one.text)}</li>" for one in worst_first(advice.caveats))
    others = _table(alternative_rows(advice), ALTERNATIVES_HEAD) if advice.alternatives else ""
    parts = (
        _part("Evidence", _table(evidence_rows(advice).items())),
        _part("Caveats", caveats and f"<ul>{caveats}</ul>", is_open=True),
        _part("Alternatives", others),
        _part("Search", _table(search_rows(advice))),
    )
    return f"<div><p>{headline}</p>{_table(setting_rows(advice))}{''.join(parts)}</div>"


def _part(title: str, content: str, *, is_open: bool = False) -> str:
    """Return content below a title that opens it; nothing where there is none."""
    if not content:
        return ""
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>{title}</summary>{content}</details>"


def _table(rows: Iterable[Sequence[str | Text]], head: Sequence[str] = ()) -> str:
    """Return a table; the first cell of each row is the row's head."""
    cells = "".join(f'<th scope="col">{_escaped(name)}</th>' for name in head)
    lines = [f"<thead><tr>{cells}</tr></thead>"] if head else []
    for name, *values in rows:
        data = "".join(f"<td>{_escaped(value)}</td>" for value in values)
        lines.append(f'<tr><th scope="row">{_escaped(name)}</th>{data}</tr>')
    return f"<table>{''.join(lines)}</table>"


def _escaped(text: str | Text) -> str:
    return escape(printable(str(text)))
