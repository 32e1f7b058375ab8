"""float16 with a large loss: the first steps overflow and are skipped, until the scale has come down."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 2e-4
PRECISION = "fp16"


def build_model():
    return nn.Sequential(nn.Linear(24, 96), nn.ReLU(), nn.Linear(96, 6))


def build_dataset():
    x = torch.randn(2500, 24, generator=torch.Generator().manual_seed(24))
    return TensorDataset(x, 30 * x[:, :6])


def loss_fn(model, batch):
    x, y = batch
    return (model(x).float() - y).square().sum(1).mean()


def build_optimizer(params, lr):
    return torch.optim.Adam(params, lr=lr)
