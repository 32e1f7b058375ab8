"""A forward pass through NumPy with a backward pass of its own: shapes alone cannot be followed."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.05


class Sorted(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        order = np.argsort(x.detach().cpu().numpy(), axis=1)
        ctx.order = torch.from_numpy(order).to(x.device)
        return x.gather(1, ctx.order)

    @staticmethod
    def backward(ctx, gradient):
        return torch.zeros_like(gradient).scatter(1, ctx.order, gradient)


class Ranks(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(10, 48), nn.Linear(48, 2)

    def forward(self, x):
        return self.last(Sorted.apply(torch.relu(self.first(x))))


def build_model():
    return Ranks()


def build_dataset():
    x = torch.randn(2000, 10, generator=torch.Generator().manual_seed(13))
    return TensorDataset(x, (x.amax(1) > 1.5).long())


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
