"""How many files and connections this process may hold open."""

from __future__ import annotations

import resource

_MOST_OPEN_FILES = 1 << 16
"""A hard limit of many millions is for no process to use; what a daemon holds is bounded."""


def open_file_limit() -> int:
    """Return how many files this process may have open, at most 65,536."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_OPEN_FILES if soft == resource.RLIM_INFINITY else min(soft, _MOST_OPEN_FILES)


def raise_open_file_limit() -> None:
    """Raise the soft limit of this process as far as may be, to at most 65,536."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
