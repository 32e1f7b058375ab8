"""Cuts its batches out of a tensor by itself, as loops without a DataLoader do."""

import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--config")
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--lr", type=float, default=0.1)
args = parser.parse_args()

torch.manual_seed(0)
inputs = torch.randn(4096, 32)
labels = (inputs[:, 0] > 0).long()
if args.batch_size > len(inputs):
    raise ValueError(f"a batch of {args.batch_size} is more than there is")
model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
for step in range(args.steps):
    begin = step * args.batch_size % len(inputs)
    batch = slice(begin, begin + args.batch_size)
    loss = nn.functional.cross_entropy(model(inputs[batch]), labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
