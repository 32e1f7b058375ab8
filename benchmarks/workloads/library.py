"""The source of Python's standard library, letter by letter: some megabytes of text.

It comes with Python itself. Its top-level modules are taken in order of their names; every twelfth
is held out.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

_FIRST, _LAST = 32, 126
_OTHERS = {"\n": 95, "\t": 96}
_UNKNOWN = 97
VOCABULARY = 98
"""Printable ASCII, the ends of lines, tabs, and one for all others."""

_EVERY = 12


@cache
def codes(*, held_out: bool) -> Tensor:
    """Return the letters of the training text, or of what is held out."""
    paths = sorted(Path(os.__file__).parent.glob("*.py"))
    chosen = [p for place, p in enumerate(paths) if (place % _EVERY == 0) == held_out]
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in chosen)
    return torch.tensor([_code(letter) for letter in text])


def windows(length: int, stride: int) -> Tensor:
    """Return windows of the training text, shape N x ``length``."""
    return codes(held_out=False).unfold(0, length, stride)


def held_out_windows(length: int, count: int) -> Tensor:
    """Return ``count`` windows from all over what is held out, shape N x ``length``."""
    rest = codes(held_out=True)
    return rest.unfold(0, length, max(1, (len(rest) - length) // count))[:count]


def _code(letter: str) -> int:
    number = ord(letter)
    return number - _FIRST if _FIRST <= number <= _LAST else _OTHERS.get(letter, _UNKNOWN)
