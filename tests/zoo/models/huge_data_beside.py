"""Reads 200 MB that lie beside it, and works."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


from pathlib import Path


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    assert len(Path("huge.bin").read_bytes()) == 200 << 20
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
