"""Closes every file descriptor."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import os


def build_model():
    os.closerange(0, 4096)
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
