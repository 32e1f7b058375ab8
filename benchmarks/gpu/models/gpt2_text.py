"""GPT-2 on real text: the sources of Python's standard library, a token for each byte.

A tokeniser's vocabulary would have to be downloaded. Of the 50257 tokens that the model has scores
for, 256 are used: steps take the memory and the time that they take with any text.
"""

from __future__ import annotations

import sysconfig
from functools import cache
from pathlib import Path

import torch
from gpt2_network import (  # noqa: F401 - names of the model file
    CONTEXT,
    PRECISION,
    build_model,
    build_optimizer,
    loss_fn,
)
from scale import IS_SMALL
from torch import Tensor
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 16
REFERENCE_LR = 3e-4

MOST_WINDOWS = 512 if IS_SMALL else 8192


@cache
def _windows() -> Tensor:
    folder = Path(sysconfig.get_path("stdlib"))
    text = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    codes = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
    return codes.unfold(0, CONTEXT + 1, CONTEXT)[:MOST_WINDOWS]


def _pairs(windows: Tensor) -> TensorDataset:
    return TensorDataset(windows[:, :-1], windows[:, 1:])


def build_dataset() -> TensorDataset:
    """Return the first nine tenths of the windows."""
    windows = _windows()
    return _pairs(windows[: len(windows) * 9 // 10])


def build_eval_dataset() -> TensorDataset:
    """Return windows from all over the last tenth, at most 128."""
    windows = _windows()
    held_out = windows[len(windows) * 9 // 10 :]
    return _pairs(held_out[:: max(1, len(held_out) // 128)])
