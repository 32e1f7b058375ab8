# Folds one after another, each with a model, an optimizer and loaders of its own; few steps each.
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

torch.manual_seed(0)
x = torch.randn(80, 4)
data = TensorDataset(x, x.prod(1, keepdim=True))
FOLDS, EPOCHS = 4, 2


def evaluate(model, samples):
    model.eval()
    with torch.no_grad():
        losses = [
            nn.functional.mse_loss(model(inputs), targets)
            for inputs, targets in DataLoader(samples, batch_size=10)
        ]
    model.train()
    return torch.stack(losses).mean().item()


def train(model, samples, held_out):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.012)
    print(f"{evaluate(model, held_out):.17g}")
    for _ in range(EPOCHS):
        for inputs, targets in DataLoader(samples, batch_size=15, shuffle=True):
            loss = nn.functional.mse_loss(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"{evaluate(model, held_out):.17g}")


for fold in range(FOLDS):
    held = set(range(fold * len(data) // FOLDS, (fold + 1) * len(data) // FOLDS))
    rest = [index for index in range(len(data)) if index not in held]
    train(nn.Linear(4, 1), Subset(data, rest), Subset(data, sorted(held)))
