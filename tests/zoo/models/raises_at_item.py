"""Cannot read one item of its data."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


class Broken(torch.utils.data.Dataset):
    def __len__(self):
        return 60

    def __getitem__(self, index):
        if index == 37:
            raise ValueError(f"item {index} is damaged")
        return torch.randn(4), 1


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return Broken()
