"""A hook keeps the activations of every step in a list that nobody empties: memory grows until it runs out.

Right: an answer, or a refusal; said: memory grows by each step, and what to look for. A peak from the first steps
without that caveat is wrong.
"""

import torch
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 0.05


def build_model():
    model = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 5))
    model.features = []
    model[3].register_forward_hook(lambda module, inputs, output: model.features.append(output))
    return model


def build_dataset():
    x = torch.randn(4000, 32, generator=torch.Generator().manual_seed(9))
    return TensorDataset(x, x[:, :5].argmax(1))


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr)
