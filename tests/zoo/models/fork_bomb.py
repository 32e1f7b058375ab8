"""Forks until it is stopped, or 256 processes are there."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import os
import time

for _ in range(8):
    os.fork()
time.sleep(3600)


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
