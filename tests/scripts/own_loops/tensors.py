"""Weights that are plain tensors, in no module, and a stream of samples."""

import torch
from torch.utils.data import DataLoader, IterableDataset


class Stream(IterableDataset):
    def __iter__(self):
        generator = torch.Generator().manual_seed(0)
        for _ in range(200):
            x = torch.randn(6, generator=generator)
            yield x, x.pow(2).sum().reshape(1)


loader = DataLoader(Stream(), batch_size=8)
first = torch.randn(6, 16).div(4).requires_grad_()
second = torch.zeros(16, 1, requires_grad=True)
optimizer = torch.optim.SGD([first, second], lr=0.01, momentum=0.9)
for _ in range(2):
    for x, y in loader:
        loss = ((x @ first).tanh() @ second - y).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())
