# Accumulates by itself, the last group shorter; the rate is that of the whole batch.
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--micro-batch", type=int, default=8)
parser.add_argument("--accumulate", type=int, default=4)
parser.add_argument("--lr", type=float, default=0.02)
args = parser.parse_args()

torch.manual_seed(0)
x = torch.randn(300, 4)
loader = DataLoader(TensorDataset(x, x.mean(1, keepdim=True)), args.micro_batch, shuffle=True)
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
for _ in range(5):
    for i, (inputs, targets) in enumerate(loader):
        loss = nn.functional.mse_loss(model(inputs), targets) / args.accumulate
        loss.backward()
        if (i + 1) % args.accumulate == 0 or i + 1 == len(loader):
            optimizer.step()
            optimizer.zero_grad()
            print(f"{loss.item():.17g}")
