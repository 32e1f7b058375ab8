"""Constants, batch normalisation, two parameter groups, a warm-up from nothing, a guard."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 8
LEARNING_RATE = 0.02


def main():
    samples = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(samples, samples.pow(2).sum(1, keepdim=True))
    loader = DataLoader(data, BATCH_SIZE, shuffle=True, drop_last=True)
    body = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU())
    head = nn.Linear(16, 1)
    model = nn.Sequential(body, head)
    groups = [
        {"params": body.parameters(), "lr": LEARNING_RATE / 10},
        {"params": head.parameters(), "lr": LEARNING_RATE},
    ]
    optimizer = torch.optim.AdamW(groups)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step / 10))
    for _ in range(2):
        model.train()
        for x, y in loader:
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            print(loss.item())


if __name__ == "__main__":
    main()
