"""Accumulates three batches of its own, clips, and steps once more where an epoch ends."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, TensorDataset

ACCUMULATION = 3

samples = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
data = TensorDataset(samples, samples.pow(2).sum(1, keepdim=True))
loader = DataLoader(data, batch_size=4, shuffle=True)
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
for _ in range(2):
    for i, (x, y) in enumerate(loader):
        loss = F.mse_loss(model(x), y) / ACCUMULATION
        loss.backward()
        if (i + 1) % ACCUMULATION == 0 or i + 1 == len(loader):
            clip_grad_norm_(model.parameters(), 100.0)
            optimizer.step()
            model.zero_grad()
        print(loss.item())
