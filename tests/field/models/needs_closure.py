"""An optimizer that asks for the gradient a second time, through a closure."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.1


def build_model():
    return nn.Linear(7, 3)


def build_dataset():
    x = torch.randn(900, 7, generator=torch.Generator().manual_seed(28))
    return TensorDataset(x, x[:, :3].argmax(1))


def build_optimizer(params, lr):
    return torch.optim.LBFGS(params, lr=lr)
