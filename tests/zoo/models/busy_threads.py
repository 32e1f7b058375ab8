"""Keeps threads busy for ever, and works."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import threading
import time


def spin():
    while True:
        time.sleep(0.001)


for _ in range(16):
    threading.Thread(target=spin, daemon=True).start()


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
