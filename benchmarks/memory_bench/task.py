"""Loads a model file for the peers: an ordinary script's way to a model, a loss and batches."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advisor.worker.user.default_loss import default_loss

LEARNING_RATE = 1e-3

Batch = Any
"""Whatever a model file's ``make_batch`` returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A model file's names, with the defaults that the advisor has for those left out."""

    build_model: Callable[[], nn.Module]
    make_batch: Callable[[int], Batch]
    loss_fn: Callable[[nn.Module, Batch], Tensor]
    build_optimizer: Callable[..., torch.optim.Optimizer]


def load_task(path: Path) -> Task:
    """Import a model file and return what it holds."""
    spec = importlib.util.spec_from_file_location(f"model_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = vars(module)
    return Task(
        build_model=names["build_model"],
        make_batch=names["make_batch"],
        loss_fn=names.get("loss_fn", default_loss),
        build_optimizer=names.get("build_optimizer", torch.optim.AdamW),
    )
