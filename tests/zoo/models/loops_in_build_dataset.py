"""Never ends in build_dataset."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    while True:
        pass
