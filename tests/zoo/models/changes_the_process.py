"""Changes directory, locale, mask and more."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import locale
import os
import signal
import sys

os.chdir("/")
os.umask(0o777)
locale.setlocale(locale.LC_ALL, "C")
sys.setrecursionlimit(200)
sys.argv.clear()
signal.signal(signal.SIGTERM, signal.SIG_IGN)


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
