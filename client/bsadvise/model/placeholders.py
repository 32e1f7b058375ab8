"""Placeholders of a command line, such as ``{batch}``: where a value of the setting is to be said.

``{batch=64}`` says in addition which value the user trains with now.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from bsadvise.model.observation import Quantity

NAMES: Mapping[str, Quantity] = {
    "batch": Quantity.MICRO_BATCH_SIZE,
    "lr": Quantity.LEARNING_RATE,
    "accumulation": Quantity.ACCUMULATION_STEPS,
}
"""What each placeholder stands for."""

_PLACEHOLDER = re.compile(rf"\{{({'|'.join(NAMES)})(?:=([^{{}}]*))?\}}")
_LIKE_ONE = re.compile(r"\{([A-Za-z_]\w*)(?:=[^{}]*)?\}")


def name_of(quantity: Quantity) -> str:
    """Return the placeholder of a quantity, as ``{batch}``."""
    return next(f"{{{name}}}" for name, of in NAMES.items() if of is quantity)


def placeholders(arguments: Iterable[str]) -> dict[Quantity, float | None]:
    """Return what a command line has placeholders of, each with the value to begin with, if any.

    Raises:
        ValueError: A value to begin with is no number, or one that cannot be.
    """
    found: dict[Quantity, float | None] = {}
    for argument in arguments:
        for match in _PLACEHOLDER.finditer(argument):
            quantity = NAMES[match[1]]
            value = None if match[2] is None else _value(match[0], quantity, match[2])
            found[quantity] = found.get(quantity) or value
    return found


def unknown_placeholders(arguments: Iterable[str]) -> list[str]:
    """Return what looks like a placeholder and is none."""
    found = (match for argument in arguments for match in _LIKE_ONE.finditer(argument))
    return [match[0] for match in found if match[1] not in NAMES]


def filled(arguments: Iterable[str], texts: Mapping[Quantity, str]) -> tuple[str, ...]:
    """Return a command line with values in the place of its placeholders.

    A placeholder that has no value, neither in ``texts`` nor to begin with, goes with the whole of
    its argument, and with the flag before that where the argument is nothing else: the program's
    own default then holds.
    """
    kept: list[str] = []
    for argument in arguments:
        matches = list(_PLACEHOLDER.finditer(argument))
        if all(NAMES[match[1]] in texts or match[2] is not None for match in matches):
            kept.append(_PLACEHOLDER.sub(lambda m: texts.get(NAMES[m[1]], m[2]), argument))
        elif _PLACEHOLDER.fullmatch(argument) and kept and kept[-1].startswith("-"):
            kept.pop()
    return tuple(kept)


def _value(said: str, quantity: Quantity, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{said} gives no number to begin with") from None
    is_count = quantity is not Quantity.LEARNING_RATE
    if not (math.isfinite(value) and value > 0 and (value.is_integer() or not is_count)):
        what = "a whole number above 0" if is_count else "a number above 0"
        raise ValueError(f"{said} must give {what} to begin with")
    return value
