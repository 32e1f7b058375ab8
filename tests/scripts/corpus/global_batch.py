# The flag is the batch of a step; the loader's is that divided by the batches that are accumulated.
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--batch-size", type=int, default=48)
parser.add_argument("--grad-accum", type=int, default=4)
parser.add_argument("--lr", type=float, default=0.03)
args = parser.parse_args()
micro_batch = args.batch_size // args.grad_accum

torch.manual_seed(0)
x = torch.randn(600, 5)
loader = DataLoader(TensorDataset(x, x.sum(1)), micro_batch, shuffle=True, drop_last=True)
model = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
optimizer.zero_grad()
for epoch in range(2):
    for step, (inputs, targets) in enumerate(loader, start=1):
        loss = nn.functional.l1_loss(model(inputs)[:, 0], targets)
        (loss / args.grad_accum).backward()
        if step % args.grad_accum:
            continue
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        print(f"{loss.item():.17g}")
