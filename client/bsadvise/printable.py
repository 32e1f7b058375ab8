"""Text from elsewhere as a terminal may show it."""

from __future__ import annotations

import unicodedata

_KEPT = frozenset("\n\t\u200c\u200d")
"""Line ends and tabs; the joiners of Persian, Indic scripts and emoji, which move nothing."""

_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control, format (which turns directions and hides), lone surrogates (of
names that are not UTF-8), and separators that some terminals take for line ends."""


def printable(text: str) -> str:
    r"""Return text whose control characters are written out, such as ``\x1b`` and ``\u202e``.

    A terminal obeys control characters, and those of direction let a line read as another. Text
    of a daemon, a model file, a path or a file of settings passes here before it is shown.
    """
    if text.isprintable():
        return text
    return "".join(_escape(char) for char in text)


def _escape(char: str) -> str:
    if char in _KEPT or unicodedata.category(char) not in _ESCAPED:
        return char
    return char.encode("unicode_escape").decode("ascii")
