"""Numbers in text: where one stands, and how another is written in its place."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(rb"(?<![\w.])(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+)?(?![\w.])")

_GIVES = rb"""["'\])]*\s*(?::[^=,]*)?[:=]\s*$"""
"""What may stand between a name and its number: ``x = ``, ``"x": ``, ``x: float = ``."""


def is_number(text: str | bytes, value: float) -> bool:
    """Return whether a text is a number, and that one but for rounding."""
    try:
        return math.isclose(float(text), value, rel_tol=1e-9)
    except ValueError:
        return False


def find_number(line: bytes, value: float, name: str) -> tuple[int, int] | None:
    """Return where a line has a number, as offsets; None unless there is one place for it.

    Args:
        line: The line, in any language that writes numbers as Python does.
        value: The number, not negative.
        name: What it is given to, which decides where a line has the number several times.
    """
    spans = [m.span() for m in _NUMBER.finditer(line) if is_number(m[0], value)]
    if len(spans) > 1:
        named = re.compile(rb"(?<!\w)" + re.escape(name.encode()) + _GIVES)
        spans = [span for span in spans if named.search(line[: span[0]])]
    return spans[0] if len(spans) == 1 else None
