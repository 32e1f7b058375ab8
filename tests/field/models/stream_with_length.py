"""A stream that knows its length and does not share it out: two loader processes would give each sample twice."""

import torch
from torch import nn
from torch.utils.data import IterableDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.05
NUM_WORKERS = 2


class Readings(IterableDataset):
    count = 2400

    def __len__(self):
        return self.count

    def __iter__(self):
        generator = torch.Generator().manual_seed(8)
        for _ in range(self.count):
            x = torch.randn(8, generator=generator)
            yield x, (x[:4].sum() > x[4:].sum()).long()


def build_model():
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))


def build_dataset():
    return Readings()


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr)
