"""Python's own reference, letter by letter: the data of several workloads.

The text comes with Python itself, as what ``help()`` shows. The last tenth is held out.
"""

from __future__ import annotations

from functools import cache
from pydoc_data.topics import topics

import torch
from torch import Tensor


@cache
def _codes() -> tuple[Tensor, int]:
    text = "".join(topics[name] for name in sorted(topics))
    letters = {letter: code for code, letter in enumerate(sorted(set(text)))}
    return torch.tensor([letters[letter] for letter in text]), len(letters)


def vocabulary_size() -> int:
    """Return how many letters there are."""
    return _codes()[1]


def training_windows(length: int, stride: int) -> Tensor:
    """Return overlapping windows of the text, shape N x ``length``."""
    codes = _codes()[0]
    return codes[: len(codes) * 9 // 10].unfold(0, length, stride)


def held_out_windows(length: int, count: int) -> Tensor:
    """Return ``count`` windows from all over the text's last tenth, shape N x ``length``."""
    codes = _codes()[0]
    rest = codes[len(codes) * 9 // 10 :]
    return rest.unfold(0, length, max(1, (len(rest) - length) // count))[:count]
