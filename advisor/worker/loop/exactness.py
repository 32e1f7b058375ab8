"""What makes losses comparable to the last digits: no dropout, no TF32, the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from advisor.worker.user.real_values import real_values


def digest_of_weights(model: nn.Module) -> Tensor:
    """Return two numbers of each parameter, which an update changes; shape (parameters, 2)."""
    found = []
    for parameter in model.parameters():
        values = real_values(parameter)
        norm = torch.linalg.vector_norm(values, dtype=torch.float64)
        found.append(torch.stack([values.sum(dtype=torch.float64), norm]).cpu())
    return torch.nan_to_num(torch.stack(found))


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Leave out the dropout of PyTorch's own layers, also while training."""
    kept: list[tuple[nn.Module, str, float]] = []
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            kept.append((module, "p", module.p))
        elif isinstance(module, nn.MultiheadAttention | nn.RNNBase):
            kept.append((module, "dropout", module.dropout))
    try:
        for module, name, _ in kept:
            setattr(module, name, 0.0)
        yield
    finally:
        for module, name, probability in kept:
            setattr(module, name, probability)


@contextmanager
def in_full_float32() -> Iterator[None]:
    """Multiply in float32 proper, not in the TF32 that GPUs may put in its place."""
    precision = torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn
    try:
        torch.set_float32_matmul_precision("highest")
        with cudnn.flags(
            enabled=cudnn.enabled,
            benchmark=False,
            deterministic=cudnn.deterministic,
            allow_tf32=False,
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
