"""Leaves processes that have cut themselves loose, and works."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import subprocess

for _ in range(3):
    subprocess.Popen(["setsid", "-f", "sleep", "3600"])


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
