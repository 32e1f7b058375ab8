"""Reads the daemon's database."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


def build_model(database):
    with open(database) as file:
        raise RuntimeError(file.read())


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
