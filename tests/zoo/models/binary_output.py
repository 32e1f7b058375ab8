"""Prints what is no text, then raises."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import os

os.write(1, bytes(range(256)) * 64)
raise RuntimeError("after the noise")


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
