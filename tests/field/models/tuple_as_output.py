"""The model takes the targets too and returns (logits, loss); there is no loss_fn."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)

    def forward(self, x, targets=None):
        logits = self.net(x)
        if targets is None:
            return logits, None
        return logits, functional.cross_entropy(logits, targets)


def build_model():
    return Model()


def build_dataset():
    x = torch.randn(800, 6, generator=torch.Generator().manual_seed(19))
    return TensorDataset(x, x[:, :4].argmax(1))
