"""Clothes, a multilayer perceptron, AdamW."""

from __future__ import annotations

from fashion import build_dataset, build_eval_dataset
from torch import nn

__all__ = ["build_dataset", "build_eval_dataset", "build_model"]

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 1e-3


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Linear(128, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
