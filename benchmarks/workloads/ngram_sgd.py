"""Next-letter prediction from eight letters, embeddings and an MLP, plain SGD."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from text import held_out_windows, training_windows, vocabulary_size
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 0.1

ORDER = 8


def build_model() -> nn.Module:
    vocabulary = vocabulary_size()
    return nn.Sequential(
        nn.Embedding(vocabulary, 24),
        nn.Flatten(),
        nn.Linear(24 * ORDER, 192),
        nn.Tanh(),
        nn.Linear(192, vocabulary),
    )


def build_dataset() -> TensorDataset:
    windows = training_windows(ORDER + 1, 2)
    return TensorDataset(windows[:, :-1], windows[:, -1])


def build_eval_dataset() -> TensorDataset:
    windows = held_out_windows(ORDER + 1, 2048)
    return TensorDataset(windows[:, :-1], windows[:, -1])


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr)
