"""Takes ten gigabytes."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


hoard = torch.ones(10 << 30, dtype=torch.uint8)


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
