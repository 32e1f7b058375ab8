"""Has an optimizer whose step raises."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


class Stubborn(torch.optim.SGD):
    def step(self, closure=None):
        raise RuntimeError("I will not")


def build_optimizer(params, lr):
    return Stubborn(params, lr=lr)


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
