"""Bytes and seconds as a person reads them; inside, all is bytes and seconds."""

from __future__ import annotations

_BYTE_STEPS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def format_bytes(size_bytes: float) -> str:
    """Return ``size_bytes`` in the largest binary unit that leaves a number of at least 1."""
    for step, unit in _BYTE_STEPS:
        if abs(size_bytes) >= step:
            return f"{size_bytes / step:.4g} {unit}"
    return f"{size_bytes:.0f} B"


def format_seconds(duration_s: float) -> str:
    """Return ``duration_s`` as milliseconds, seconds, minutes or hours."""
    if duration_s < 1:
        return f"{duration_s * 1e3:.3g} ms"
    if duration_s < 120:
        return f"{duration_s:.3g} s"
    if duration_s < 7200:
        return f"{duration_s / 60:.3g} min"
    return f"{duration_s / 3600:.3g} h"
