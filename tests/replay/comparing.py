"""Compares what is recorded with what is said now, field by field.

Text, whole numbers and enum values must be equal. Other numbers must be equal when they are
rounded to 9 significant digits. A double has 16, of which sums in another order (numpy's vector
instructions and BLAS differ between machines) change the last few, and fits make some more of
that; a change of the planner that anyone could notice is larger than one part in 10⁸.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

SIGNIFICANT_DIGITS = 9

_ABSENT = "(absent)"


def differences(old: object, new: object, path: str = "") -> list[str]:
    """Return a line for each field that differs: its path, what it was and what it is.

    Args:
        old: A value of dictionaries, lists and scalars, as read from JSON.
        new: Likewise.
        path: What to call the value itself.
    """
    before, after = dict(_leaves(old, path)), dict(_leaves(new, path))
    return [
        f"{key or 'value'}: {before.get(key, _ABSENT)} -> {after.get(key, _ABSENT)}"
        for key in before | after
        if before.get(key) != after.get(key)
    ]


def _leaves(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every scalar in a value, and of every empty collection."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and value and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    elif isinstance(value, float):
        # A field of seconds may hold a whole number: 5 and 5.0 are one value.
        yield path, f"{value:.{SIGNIFICANT_DIGITS}g}"
    else:
        yield path, repr(value)
