"""Checks that the domain's values make of themselves when they are built."""

from __future__ import annotations

import math


def at_least(name: str, value: float | None, minimum: float) -> None:
    """Raise ValueError unless ``value`` is None or a finite number of at least ``minimum``."""
    if value is None:
        return
    if not math.isfinite(value) or value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {value}")


def above(name: str, value: float | None, bound: float) -> None:
    """Raise ValueError unless ``value`` is None or a finite number greater than ``bound``."""
    if value is None:
        return
    if not math.isfinite(value) or value <= bound:
        raise ValueError(f"{name} must be greater than {bound}, not {value}")
