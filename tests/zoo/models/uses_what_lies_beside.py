"""Imports a module and reads data beside it."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


from pathlib import Path

from package.width import WIDTH


def build_model():
    return nn.Linear(WIDTH, int(Path("package/weights.txt").read_text()))


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
