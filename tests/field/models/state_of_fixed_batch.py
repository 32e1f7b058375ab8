"""A recurrent state whose batch size is written into the model: only batches of 24 run."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 24
REFERENCE_LR = 1e-3


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 32, batch_first=True)
        self.out = nn.Linear(32, 2)

    def forward(self, x):
        start = torch.zeros(1, 24, 32)
        return self.out(self.rnn(x, start)[1][0])


def build_model():
    return Counter()


def build_dataset():
    x = torch.randn(960, 10, 4, generator=torch.Generator().manual_seed(3))
    return TensorDataset(x, (x.sum((1, 2)) > 0).long())
