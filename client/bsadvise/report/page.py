"""The page: a template, its style, and the figures in it. The one module that imports jinja2."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bsadvise.exports.changes.values import Changes
from bsadvise.model.advice import Advice
from bsadvise.model.errors import ExportFailed
from bsadvise.model.explanation import Findings
from bsadvise.printable import printable
from bsadvise.report.comparing import Comparison
from bsadvise.report.drawing import SVG, Draw, draw, renderer
from bsadvise.report.making import findings_without_log, make_report
from bsadvise.report.values import Figure, Report

_FOLDER = Path(__file__).parent / "templates"

_MOST_DATA_BYTES = 48 << 10
"""Of the compressed document, of which a page has four thirds."""

_THINNING = (None, 16, 4, 0)
"""How many of a list of numbers are kept, until the document is small enough; None for all."""


def report_of(findings: Findings, changes: Changes | None = None) -> str:
    """Return the page of a job; arguments as for ``make_report``.

    Raises:
        ExportFailed: The extra is not installed, or a figure could not be drawn.
    """
    return render_page(make_report(findings, changes))


def page_of_advice(advice: Advice) -> str:
    """Return the page of an advice whose measurements are not at hand, likewise."""
    return render_page(make_report(findings_without_log(advice)))


def render_page(report: Report, draw_figure: Draw = draw) -> str:
    """Return a report as one HTML file without script, which needs nothing else.

    Args:
        report: What it says.
        draw_figure: What draws its figures.

    Raises:
        ExportFailed: The extra is not installed, or a figure could not be drawn.
    """
    return _render("report.html.j2", report=report, draw=_Drawn(draw_figure))


def render_comparison(comparison: Comparison, draw_figure: Draw = draw) -> str:
    """Return two reports side by side, likewise."""
    return _render("comparison.html.j2", comparison=comparison, draw=_Drawn(draw_figure))


def policy_of(style: str) -> str:
    """Return the content-security policy that lets a page have this style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


class _Drawn:
    """Draws figures for a template, each with its title and description."""

    def __init__(self, draw_figure: Draw) -> None:
        self._draw = draw_figure

    def __call__(self, figure: Figure, prefix: str = "") -> Any:  # noqa: ANN401 - jinja2's Markup
        """Return the SVG of a figure; prefix makes its ids unique where a page has two of a name.

        Raises:
            ExportFailed: It could not be drawn.
        """
        if figure.spec is None:
            return ""
        svg, name = self._draw(figure.spec), f"{prefix}{figure.name}"
        _rename_ids(svg, name)
        for tag, text in (("desc", figure.description), ("title", figure.title)):
            element = ET.Element(tag, {"id": f"{name}-{tag}"})
            element.text = printable(text)
            svg.insert(0, element)
        svg.set("xmlns", SVG)
        svg.set("role", "img")
        svg.set("aria-labelledby", f"{name}-title {name}-desc")
        return _markup(ET.tostring(svg, encoding="unicode"))


def _rename_ids(svg: ET.Element, name: str) -> None:
    """Give what a figure refers to within itself names of its own on the page."""
    for element in svg.iter():
        if element.get("id") is not None:
            element.set("id", f"{name}-{element.get('id')}")
        if element.get("clip-path", "").startswith("url(#"):
            element.set("clip-path", element.get("clip-path", "").replace("#", f"#{name}-"))


def _render(template: str, **values: object) -> str:
    style = (_FOLDER / "style.css").read_text(encoding="utf-8")
    page: str = (
        _environment()
        .get_template(template)
        .render(style=_markup(style), policy=policy_of(style), data=data_url, **values)
    )
    return page


def data_url(document: Mapping[str, Any]) -> str:
    """Return a document as a link that downloads it: JSON, compressed, since a log repeats much.

    Numbers have six digits. Where that is still large, long lists of numbers are thinned and the
    document says so; the log is left out of one that is too large even so: the daemon has it.
    """
    packed = b""
    for most_items in _THINNING:
        packed = _packed({"numbers_kept_of_a_list": most_items, **_brief(document, most_items)})
        if len(packed) <= _MOST_DATA_BYTES:
            break
    else:
        packed = _packed({**_brief(document, most_items=0), "measurements": None})
    return f"data:application/gzip;base64,{base64.b64encode(packed).decode()}"


def _packed(document: object) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return gzip.compress(text.encode(), mtime=0)


def _brief(value: Any, most_items: int | None) -> Any:  # noqa: ANN401 - any part of a document
    """Return a document with numbers of six digits, and lists of at most so many numbers."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _brief(item, most_items) for key, item in value.items()}
    if isinstance(value, list):
        is_numbers = all(isinstance(item, int | float) for item in value)
        if most_items is not None and is_numbers and len(value) > most_items:
            step = (len(value) - 1) / max(1, most_items - 1)
            value = [value[round(step * place)] for place in range(most_items)]
        return [_brief(item, most_items) for item in value]
    return value


@cache
def _environment() -> Any:  # noqa: ANN401 - an optional module's
    try:
        import jinja2  # noqa: PLC0415 - of the extra
    except ImportError as error:
        raise ExportFailed(
            "a report needs what writes its page: pip install 'bsadvise[report]'"
        ) from error
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    """Return text as a page may show it; what is markup already is ours."""
    return printable(value) if type(value) is str else value


def _markup(text: str) -> Any:  # noqa: ANN401 - an optional module's
    import markupsafe  # noqa: PLC0415 - of the extra

    return markupsafe.Markup(text)  # noqa: S704 - serialised from elements, or our own style


def check_installed() -> None:
    """See that a report can be made: before a search, not after it.

    Raises:
        ExportFailed: The extra is not installed.
    """
    _environment()
    renderer()
