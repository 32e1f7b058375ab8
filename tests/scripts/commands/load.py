"""Trains on a DataLoader, accumulating batches."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--config")
parser.add_argument("--bs", type=int, default=16)
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--accumulate", type=int, default=1)
args = parser.parse_args()

torch.manual_seed(0)
inputs = torch.randn(512, 8)
loader = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=args.bs)
model = nn.Linear(8, 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
for _ in range(100):
    for number, (x, y) in enumerate(loader, start=1):
        (nn.functional.mse_loss(model(x), y) / args.accumulate).backward()
        if number % args.accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
