"""Sparse gradients of an embedding, and the default optimizer, which takes none."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 1e-3


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5000, 16, sparse=True)
        self.head = nn.Linear(16, 3)

    def forward(self, words):
        return self.head(self.embed(words).mean(1))


def build_model():
    return Words()


def build_dataset():
    words = torch.randint(5000, (2000, 9), generator=torch.Generator().manual_seed(4))
    return TensorDataset(words, words[:, 0] % 3)
