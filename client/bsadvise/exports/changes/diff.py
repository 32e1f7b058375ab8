"""Edits as a unified diff, and the files as they are after them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from bsadvise.exports.changes.values import Edit
from bsadvise.printable import printable


def edited(files: Mapping[str, bytes], edits: Iterable[Edit]) -> dict[str, bytes]:
    """Return the files that edits change, as they are afterwards; no other byte is touched."""
    changed: dict[str, bytes] = {}
    # From the end, so that the offsets of those before stay true.
    for edit in sorted(edits, key=lambda edit: (edit.file, edit.begin), reverse=True):
        content = changed.get(edit.file, files[edit.file])
        changed[edit.file] = content[: edit.begin] + edit.text + content[edit.end :]
    return {file: changed[file] for file in sorted(changed)}


def unified_diff(files: Mapping[str, bytes], changed: Mapping[str, bytes]) -> str:
    """Return the changes of files as ``patch -p1`` and ``git apply`` read them.

    Control characters of the files are written out, but for the carriage returns of line ends.
    """
    lines: list[str] = []
    for file, after in changed.items():
        name = printable(file)
        lines += difflib.unified_diff(
            _lines(files[file]), _lines(after), f"a/{name}", f"b/{name}", n=3
        )
    return "".join(lines)


def _lines(content: bytes) -> list[str]:
    # What reads a diff knows no other line ends.
    return [
        printable(body.decode("utf-8", "surrogateescape"))
        + (end.decode() or "\n\\ No newline at end of file\n")
        for body, end in re.findall(rb"([^\n]*?)(\r?\n|$)", content)
        if body or end
    ]
