# Flags whose defaults a JSON file sets, the file itself named by a flag; numbers as text elsewhere.
import argparse
import json

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def parse_args():
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--config", default="defaults.json")
    known, rest = early.parse_known_args()
    parser = argparse.ArgumentParser(parents=[early])
    parser.add_argument("--bs", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=1)
    with open(known.config) as stream:
        parser.set_defaults(**json.load(stream))
    return parser.parse_args(rest)


if __name__ == "__main__":
    args = parse_args()
    torch.manual_seed(0)
    x = torch.randn(270, 4)
    loader = DataLoader(TensorDataset(x, x.argmax(1)), batch_size=args.bs, shuffle=True)
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), args.lr, nesterov=True, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    for epoch in range(args.epochs):
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.17g}")
        scheduler.step(loss.item())
