"""Draws figures as SVG: the one module that imports vl_convert, Vega's own renderer.

What it draws is read again here and cut down to shapes and text, so that nothing else can stand on
a page, whatever the renderer or a text in a figure may do.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from typing import Any

from bsadvise.model.errors import ExportFailed
from bsadvise.printable import printable
from bsadvise.report.values import Spec

Draw = Callable[[Spec], ET.Element]
"""Returns a figure's SVG element, without a title."""

SVG = "http://www.w3.org/2000/svg"
_INK = "currentColor"
_FONT_SIZE = 12

_CONFIG: dict[str, Any] = {
    "aria": False,
    "background": None,
    # A browser's letters may be wider than those that were measured.
    "padding": {"left": 5, "top": 5, "right": 24, "bottom": 5},
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "domainColor": _INK,
        "tickColor": _INK,
        "gridColor": _INK,
        "gridOpacity": 0.15,
        "labelFontSize": _FONT_SIZE,
        "titleFontSize": _FONT_SIZE,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "legend": {
        "labelColor": _INK,
        "titleColor": _INK,
        "labelFontSize": _FONT_SIZE,
        "symbolStrokeWidth": 2,
        "columnPadding": 30,
        "labelLimit": 260,
    },
    "text": {"color": _INK, "fontSize": _FONT_SIZE},
    "rule": {"color": _INK},
}

_ELEMENTS = frozenset({"svg", "g", "path", "line", "rect", "circle", "text", "tspan", "defs",
                       "clipPath"})  # fmt: skip
_SHAPES = frozenset({"d", "transform", "viewBox", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy",
                     "r", "dx", "dy", "width", "height"})  # fmt: skip
_PAINTS = frozenset({"fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity",
                     "stroke-dasharray", "opacity", "text-anchor", "font-size", "font-weight",
                     "clip-path", "id"})  # fmt: skip
_INHERITED = ("fill", "stroke", "stroke-width", "stroke-opacity", "text-anchor", "font-size")
_DEFAULTS = {"opacity": "1", "font-size": f"{_FONT_SIZE}px", "font-weight": "normal"}
_PAINT = re.compile(r"[\w#.,%() -]*|url\(#\w+\)")


def draw(spec: Spec) -> ET.Element:
    """Return a figure drawn.

    Raises:
        ExportFailed: The extra is not installed, or the renderer refuses the figure.
    """
    vl_convert = renderer()
    try:
        text = vl_convert.vegalite_to_svg(
            {**_printable(spec), "config": _CONFIG}, allowed_base_urls=[]
        )
    except ValueError as error:
        raise ExportFailed(f"a figure could not be drawn: {error}") from error
    return cut_down(text)


def renderer() -> Any:  # noqa: ANN401 - a module without types
    """Return vl_convert.

    Raises:
        ExportFailed: It is not installed.
    """
    try:
        import vl_convert  # noqa: PLC0415 - 84 MB that nothing else needs
    except ImportError as error:
        raise ExportFailed(
            "a report needs what draws its figures: pip install 'bsadvise[report]'"
        ) from error
    return vl_convert


def _printable(value: Any) -> Any:  # noqa: ANN401 - any part of a figure
    """Return a figure whose texts are printable: what XML cannot hold ends the process there."""
    if isinstance(value, str):
        return printable(value).replace("\n", " ").replace("\t", " ")
    if isinstance(value, Mapping):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value


def cut_down(text: str) -> ET.Element:
    """Return the shapes and the text of an SVG document, and nothing else of it."""
    root = _cut(ET.fromstring(text))  # noqa: S314 - vl_convert's, without entities
    if root is None:
        raise ExportFailed("a figure could not be drawn: it is empty")
    root.set("font-family", "sans-serif")
    root.set("font-size", str(_FONT_SIZE))
    root.set("fill", "none")
    return root


def _cut(element: ET.Element) -> ET.Element | None:
    """Return an element without what is invisible or no drawing; None where nothing is left."""
    name = element.tag.removeprefix(f"{{{SVG}}}")
    if name not in _ELEMENTS or element.get("display") == "none":
        return None
    if name == "path" and (not element.get("d") or _is_background(element)):
        return None
    attributes = {key: _short(key, value) for key, value in element.items() if _stays(key, value)}
    if name == "text" and "fill" not in attributes:
        attributes["fill"] = _INK
    made = ET.Element(name, attributes)
    if name in {"text", "tspan"}:
        made.text = element.text
    made.extend(child for one in element if (child := _cut(one)) is not None)
    if name in {"g", "defs", "clipPath"} and len(made) == 0:
        return None
    if name == "g":
        _say_once(made)
    if name == "g" and not attributes and len(made) == 1:
        return made[0]
    return made


def _say_once(group: ET.Element) -> None:
    """Give a group the paint that all in it have, which they inherit."""
    for key in _INHERITED:
        values = {child.get(key) for child in group}
        if len(group) > 1 and len(values) == 1 and None not in values:
            group.set(key, values.pop() or "")
            for child in group:
                del child.attrib[key]


def _is_background(element: ET.Element) -> bool:
    return element.get("class") in {"background", "foreground"}


def _stays(key: str, value: str) -> bool:
    if key in _SHAPES:
        return True
    return key in _PAINTS and _DEFAULTS.get(key) != value and _PAINT.fullmatch(value) is not None


def _short(key: str, value: str) -> str:
    """Return a value with no more digits than can be seen."""
    if key not in _SHAPES:
        return value
    return re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)
