"""Bytes, seconds and joules as people write and read them; inside, all is in these."""

from __future__ import annotations

import re
from collections.abc import Mapping

_BYTES = {
    "": 1, "b": 1,
    "k": 1 << 10, "kib": 1 << 10, "kb": 10**3,
    "m": 1 << 20, "mib": 1 << 20, "mb": 10**6,
    "g": 1 << 30, "gib": 1 << 30, "gb": 10**9,
    "t": 1 << 40, "tib": 1 << 40, "tb": 10**12,
}  # fmt: skip
_SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)
_BYTE_STEPS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def parse_bytes(text: str) -> int:
    """Return the bytes that "16GiB", "512 MiB", "2g" or "1000000" stand for.

    A bare letter is binary, as PyTorch and the cards' makers count; "GB" is decimal.

    Raises:
        ValueError: The text is no size.
    """
    return round(_parse(text, _BYTES, "a size such as 16GiB, 512MiB or 1000000"))


def parse_seconds(text: str) -> float:
    """Return the seconds that "60s", "5m", "1h", "500ms" or "90" stand for.

    Raises:
        ValueError: The text is no duration.
    """
    return _parse(text, _SECONDS, "a duration such as 60s, 5m or 1h")


def format_bytes(size_bytes: float) -> str:
    """Return ``size_bytes`` in the largest binary unit that leaves a number of at least 1."""
    for step, unit in _BYTE_STEPS:
        if abs(size_bytes) >= step:
            return f"{size_bytes / step:.4g} {unit}"
    return f"{size_bytes:.0f} B"


def format_seconds(duration_s: float) -> str:
    """Return ``duration_s`` as milliseconds, seconds, minutes or hours."""
    if duration_s < 1:
        return f"{format_number(duration_s * 1e3)} ms"
    if duration_s < 120:
        return f"{format_number(duration_s)} s"
    if duration_s < 7200:
        return f"{format_number(duration_s / 60)} min"
    return f"{format_number(duration_s / 3600)} h"


def format_energy(energy_j: float) -> str:
    """Return ``energy_j`` as joules, watt-hours or kilowatt-hours, which is what is paid for."""
    if energy_j < 3.6e3:
        return f"{format_number(energy_j)} J"
    if energy_j < 3.6e6:
        return f"{format_number(energy_j / 3.6e3)} Wh"
    return f"{format_number(energy_j / 3.6e6)} kWh"


def format_rate(learning_rate: float) -> str:
    """Return a learning rate as it is written in papers: "0.05", "0.004", "2.83e-4"."""
    if learning_rate >= 0.001:
        return f"{learning_rate:.3g}"
    mantissa, exponent = f"{learning_rate:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def format_number(value: float) -> str:
    """Return a figure to three digits, thousands set apart: "1.83", "12,400"."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _parse(text: str, units: Mapping[str, float], wanted: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2].lower() not in units:
        raise ValueError(f"{text!r} is not {wanted}")
    return float(match[1]) * units[match[2].lower()]


def number_text(value: float) -> str:
    """Return a number as Python, JSON and YAML alike read it, to six digits."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.6g}"
    mantissa, e, exponent = text.partition("e")
    # YAML 1.1 takes 1e-05 for a word.
    return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else text
