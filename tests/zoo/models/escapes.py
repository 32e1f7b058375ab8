"""Raises an error that would clear a terminal."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


raise RuntimeError("\x1b[2J\x1b[31mred\x1b[0m \x07bell")


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
