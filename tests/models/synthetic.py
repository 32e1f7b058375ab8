"""Synthetic batches of numbers to fit, in bfloat16: memory and throughput only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PRECISION = "bf16"


def build_model() -> nn.Module:
    return nn.Sequential(nn.Linear(48, 96), nn.GELU(), nn.Dropout(0.1), nn.Linear(96, 1))


def make_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    return torch.randn(batch_size, 48), torch.randn(batch_size, 1)
