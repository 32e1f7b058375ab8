"""A batch of a class of its own, with a `.to` of its own that may be called once: no tensor is found in it."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.05


class Examples:
    __slots__ = ("is_moved", "x", "y")

    def __init__(self, x, y, is_moved=False):
        self.x, self.y, self.is_moved = x, y, is_moved

    def to(self, device, non_blocking=False):
        if self.is_moved:
            raise RuntimeError("these examples were moved before")
        return Examples(self.x.to(device), self.y.to(device), is_moved=True)


def build_model():
    return nn.Sequential(nn.Linear(9, 48), nn.ReLU(), nn.Linear(48, 3))


def build_dataset():
    x = torch.randn(2400, 9, generator=torch.Generator().manual_seed(14))
    return TensorDataset(x, x[:, :3].argmax(1))


def collate_fn(samples):
    return Examples(*(torch.stack(part) for part in zip(*samples)))


def loss_fn(model, examples):
    return functional.cross_entropy(model(examples.x), examples.y)


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
