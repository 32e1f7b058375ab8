"""Flags by argparse, a schedule of as many steps as it trains for, no guard."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--batch-size", type=int, default=6)
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--epochs", type=int, default=2)
args = parser.parse_args()

samples = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
data = TensorDataset(samples, samples.pow(2).sum(1, keepdim=True))
loader = DataLoader(data, batch_size=args.batch_size, shuffle=True)
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), args.lr, momentum=0.9)
steps = args.epochs * len(loader)
scheduler = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, args.lr, total_steps=steps, cycle_momentum=False
)
for _ in range(args.epochs):
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        print(loss.item())
