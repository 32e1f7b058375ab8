"""What no message to a user may hold."""

from __future__ import annotations

import re

_OURS = re.compile(
    r"\badvisor[./]\w+|\bbsadvise/\w+|\bsite-packages\b|\bTraceback\b|The advisor failed"
)


def ours_in(text: str) -> list[str]:
    """Return what a message shows of the program itself: files, tracebacks, its own failures."""
    return _OURS.findall(text)
