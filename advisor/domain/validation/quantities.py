"""Checks of single quantities, of which the checks of whole values are made."""

from __future__ import annotations

import math

from advisor.domain.limits import MOST_BYTES

MOST_SECONDS = 1e7
"""More than any measurement takes: what passes it is no figure."""


def finite(name: str, *values: float | None) -> None:
    """Raise ValueError unless each value is None or finite."""
    for value in values:
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name} must be finite, not {value}")


def is_bytes(name: str, value: int | None) -> None:
    """Raise ValueError unless ``value`` is None or an amount of memory that can be."""
    at_least(name, value, 0)
    if value is not None and value > MOST_BYTES:
        raise ValueError(f"{name} is more than can be: {value}")


def are_seconds(name: str, *values: float) -> None:
    """Raise ValueError unless each value is a duration that can be."""
    for value in values:
        at_least(name, value, 0)
        if value > MOST_SECONDS:
            raise ValueError(f"{name} is longer than can be: {value}")


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


def share(name: str, value: float) -> None:
    """Raise ValueError unless ``value`` is from 0 to 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, not {value}")
