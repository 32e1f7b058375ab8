"""Ends the process."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import os


def build_model():
    os._exit(0)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
