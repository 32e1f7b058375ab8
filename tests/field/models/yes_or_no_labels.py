"""Bytes as images and truth values as labels, one output, no loss_fn: no default loss is the right one.

Right: a refusal that names loss_fn and the line to write (binary_cross_entropy_with_logits), not a type error
from the depths of torch; or an answer that took this loss and says so.
"""

import torch
from torch import nn
from torch.utils.data import Dataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 1e-2


class Pictures(Dataset):
    def __len__(self):
        return 1000

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        picture = torch.randint(256, (1, 8, 8), dtype=torch.uint8, generator=generator)
        return picture, picture.float().mean() > 127


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 1))

    def forward(self, picture):
        return self.net(picture.float() / 255).squeeze(1)


def build_model():
    return Model()


def build_dataset():
    return Pictures()
