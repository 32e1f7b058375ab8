"""A page as a browser reads it, and what it must never hold."""

from __future__ import annotations

import base64
import gzip
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from typing import Any

import html5lib

_ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "h1",
    "h2", "h3", "p", "ul", "ol", "li", "figure", "figcaption", "details", "summary", "div", "table",
    "caption", "thead", "tbody", "tr", "th", "td", "pre", "a", "bdi", "span",
    "svg", "g", "path", "line", "rect", "circle", "text", "tspan", "defs", "clipPath", "desc",
}  # fmt: skip


def parse(page: str) -> ET.Element:
    """Return a page's elements, their names without name spaces."""
    root = html5lib.parse(page, namespaceHTMLElements=False)
    assert isinstance(root, ET.Element)
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


def check_harmless(page: str) -> ET.Element:
    """Return a page's elements; fails where any of them could do something."""
    root = parse(page)
    for element in root.iter():
        assert element.tag in _ALLOWED, ET.tostring(element)[:200]
        for name, value in element.items():
            assert not name.lower().startswith("on"), name
            assert name not in {"style", "src", "srcdoc", "action", "formaction"}, name
            if name.rpartition("}")[2] == "href":
                assert value.startswith("data:application/gzip;base64,"), value[:50]
    # Control characters, and those that turn the direction of what follows.
    kinds = {char: unicodedata.category(char) for char in set(page)}
    assert not [char for char, kind in kinds.items() if kind in {"Cc", "Cf"} and char != "\n"]
    return root


def text_of(element: ET.Element) -> str:
    """Return all text in an element."""
    return "".join(element.itertext())


def document_of(page: str) -> Any:
    """Return what a page has to download."""
    (packed,) = re.findall(r'href="data:application/gzip;base64,([^"]*)"', page)
    return json.loads(gzip.decompress(base64.b64decode(packed)))
