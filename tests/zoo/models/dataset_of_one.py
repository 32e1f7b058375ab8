"""Has one sample."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(1, 4), torch.randint(3, (1,)))
