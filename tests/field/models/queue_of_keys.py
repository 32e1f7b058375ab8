"""Contrast with a queue of earlier keys and a momentum encoder, as in MoCo: state that outlives the batch.

The queue holds 256 keys and takes only batches that divide it. Right: an answer whose batch divides 256, or a
refusal with the assertion's line; said: state is kept between batches (the queue, the slow encoder), so that
losses of different batches cannot be compared.
"""

import copy

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.03


class Views(Dataset):
    def __len__(self):
        return 3000

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        whole = torch.randn(24, generator=generator)
        first, second = whole + 0.3 * torch.randn(2, 24, generator=generator)
        return first, second


class Moco(nn.Module):
    def __init__(self, keys=256, width=16, momentum=0.99, temperature=0.2):
        super().__init__()
        self.momentum, self.temperature = momentum, temperature
        self.query = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, width))
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.register_buffer("queue", functional.normalize(torch.randn(keys, width), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def follow(self):
        for slow, fast in zip(self.key.parameters(), self.query.parameters(), strict=True):
            slow.mul_(self.momentum).add_(fast, alpha=1 - self.momentum)

    @torch.no_grad()
    def store(self, keys):
        assert len(self.queue) % len(keys) == 0, "the queue must be a multiple of the batch size"
        start = int(self.place)
        self.queue[start : start + len(keys)] = keys
        self.place.fill_((start + len(keys)) % len(self.queue))

    def forward(self, first, second):
        query = functional.normalize(self.query(first), dim=1)
        with torch.no_grad():
            if self.training:
                self.follow()
            key = functional.normalize(self.key(second), dim=1)
        right = (query * key).sum(1, keepdim=True)
        wrong = query @ self.queue.clone().T
        if self.training:
            self.store(key)
        return torch.cat([right, wrong], 1) / self.temperature


def build_model():
    return Moco()


def build_dataset():
    return Views()


def loss_fn(model, batch):
    logits = model(*batch)
    return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def build_optimizer(params, lr):
    return torch.optim.SGD([p for p in params if p.requires_grad], lr=lr, momentum=0.9)
