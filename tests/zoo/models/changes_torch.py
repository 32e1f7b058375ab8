"""Changes torch's defaults."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
torch.set_default_device("cpu")
torch.manual_seed(1)
torch.use_deterministic_algorithms(True)


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4).double(), torch.randint(3, (96,)))
