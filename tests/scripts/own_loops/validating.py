"""Validates every few steps, draws at random in between, and keeps checkpoints."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

samples = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
data = TensorDataset(samples, samples.pow(2).sum(1, keepdim=True))
training, validation = torch.utils.data.random_split(data, [80, 16])
loader = DataLoader(training, batch_size=8, shuffle=True)
validation_loader = DataLoader(validation, batch_size=16)
model = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.3), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)


def validate():
    model.eval()
    with torch.no_grad():
        losses = [F.mse_loss(model(x), y) for x, y in validation_loader]
    model.train()
    torch.randn(3)
    return sum(losses) / len(losses)


print("before", float(validate()))
step = 0
for _ in range(3):
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        step += 1
        if step % 4 == 0:
            print("validation", float(validate()))
            torch.save(model.state_dict(), "last.pt")
        print(loss.item())
