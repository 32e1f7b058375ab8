"""Kills its whole process group."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import os
import signal


def build_model():
    os.kill(0, signal.SIGKILL)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
