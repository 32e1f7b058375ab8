"""Stops after so many steps, whatever the loader holds; catches whatever stops it before."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

samples = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
data = TensorDataset(samples, samples.pow(2).sum(1, keepdim=True))
loader = DataLoader(data, batch_size=8, shuffle=True)
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
batches = iter(loader)
try:
    for _ in range(7):
        x, y = next(batches)
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())
except (Exception, KeyboardInterrupt) as error:
    print("stopped by", error)
