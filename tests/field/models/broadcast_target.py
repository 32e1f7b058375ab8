"""Outputs of shape (N, 1) against targets of shape (N,): the difference is (N, N), and so is its memory."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 1e-2


def build_model():
    return nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 1))


def build_dataset():
    x = torch.randn(3000, 5, generator=torch.Generator().manual_seed(21))
    return TensorDataset(x, x.prod(1))


def loss_fn(model, batch):
    return functional.smooth_l1_loss(model(batch[0]), batch[1])


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr)
