"""Never stops calling itself."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


def build_model():
    return build_model()


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
