"""Has an infinite loss."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


def loss_fn(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y) + float("inf")


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
