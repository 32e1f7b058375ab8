"""Crashes as a broken extension does."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import ctypes


def build_model():
    ctypes.string_at(0)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
