"""Eighty samples: any batch fits, and none above eighty is of use."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 8
REFERENCE_LR = 0.05


def build_model():
    return nn.Sequential(nn.Linear(4, 24), nn.Tanh(), nn.Linear(24, 1))


def build_dataset():
    x = torch.randn(80, 4, generator=torch.Generator().manual_seed(26))
    return TensorDataset(x, (x[:, :2].sum(1, keepdim=True)).sin())


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
