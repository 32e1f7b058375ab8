"""Replaces what we use, and cannot make us lie."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import json
import sys
import time

time.monotonic = time.perf_counter = lambda: 0.0
json.dumps = None
torch.save = torch.load = None
for name in [name for name in sys.modules if name.startswith("advisor.")]:
    for attribute in list(vars(sys.modules[name])):
        if callable(getattr(sys.modules[name], attribute)):
            setattr(sys.modules[name], attribute, None)


def build_model():
    return nn.Linear(4, 3)


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))
