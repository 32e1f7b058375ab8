"""A sum over the batch, and a second part of the loss with a pass of its own."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

samples = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
data = TensorDataset(samples, samples.pow(2).sum(1, keepdim=True))
loader = DataLoader(data, batch_size=8, shuffle=True)
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)
for _ in range(2):
    for x, y in loader:
        optimizer.zero_grad()
        output = model(x)
        loss = F.mse_loss(output, y, reduction="sum")
        other = output.abs().sum()
        loss.backward(retain_graph=True)
        other.backward()
        optimizer.step()
        print((loss + other).item())
