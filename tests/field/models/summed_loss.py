"""A loss that is summed over the batch: the gradient grows with the batch by itself."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 2e-4


class Compressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), nn.Linear(64, 4))
        self.decode = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 20))

    def forward(self, x):
        code = self.encode(x)
        return self.decode(code), code


def build_model():
    return Compressor()


def build_dataset():
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(3000, 4, generator=generator) @ torch.randn(4, 20, generator=generator)
    return TensorDataset(x)


def loss_fn(model, batch):
    (x,) = batch
    copy, code = model(x)
    return functional.mse_loss(copy, x, reduction="sum") + 0.01 * code.square().sum()


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
