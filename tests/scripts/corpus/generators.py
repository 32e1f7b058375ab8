# An endless generator around the loader that is one batch ahead; ends by a count of steps.
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

torch.manual_seed(0)
settings = {"batch_size": 12, "lr": 0.003, "steps": 60}
for argument in sys.argv[1:]:
    key, _, value = argument.partition("=")
    settings[key] = type(settings[key])(value)


class Walk(IterableDataset):
    def __iter__(self):
        x = torch.zeros(4)
        for _ in range(90):
            x = x + torch.randn(4)
            yield x


def cycle(loader):
    while True:
        yield from loader


def ahead(batches):
    batch = next(batches)
    for following in batches:
        yield batch
        batch = following


model = nn.Linear(4, 4)
optimizer = torch.optim.NAdam(model.parameters(), lr=settings["lr"])
batches = ahead(cycle(DataLoader(Walk(), batch_size=settings["batch_size"])))
for step in range(settings["steps"]):
    x = next(batches)
    loss = (model(x) - x).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    print(f"{step} {loss.item():.17g}")
