"""Overlapping windows of one series, stored by time, whose level drifts."""

import torch
from torch import nn
from torch.utils.data import Dataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 1e-2
SEEN, WANTED = 36, 6


class Load(Dataset):
    def __init__(self):
        generator = torch.Generator().manual_seed(17)
        hour = torch.arange(5000.0)
        drift = torch.randn(5000, generator=generator).cumsum(0) / 5
        self.values = drift + (hour / 4).sin() + 0.3 * torch.randn(5000, generator=generator)

    def __len__(self):
        return len(self.values) - SEEN - WANTED + 1

    def __getitem__(self, index):
        window = self.values[index : index + SEEN + WANTED]
        return window[:SEEN], window[SEEN:]


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(SEEN, 48), nn.ReLU(), nn.Linear(48, WANTED))

    def forward(self, seen):
        level = seen.mean(1, keepdim=True)
        return level + self.net(seen - level)


def build_model():
    return Forecaster()


def build_dataset():
    return Load()


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
