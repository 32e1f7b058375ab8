"""Kills the process that started it."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import os
import signal
import time


def build_model():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
