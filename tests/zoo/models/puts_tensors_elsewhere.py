"""Has tensors made on a device that holds none, where it does not name another."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


torch.set_default_device("meta")
torch.set_default_dtype(torch.float16)
HERE = {"device": "cpu"}


def build_model():
    return nn.Linear(4, 3, dtype=torch.float32, **HERE)


def build_dataset():
    x = torch.randn(96, 4, dtype=torch.float32, **HERE)
    return TensorDataset(x, torch.randint(3, (96,), **HERE))


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr)
