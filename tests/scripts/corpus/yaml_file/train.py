# A YAML file that an argument names, by a path from where the script is started.
import argparse

import torch
import yaml
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--config", default="conf/small.yaml")
with open(parser.parse_args().config) as stream:
    config = yaml.safe_load(stream)
torch.manual_seed(0)
x = torch.randn(256, 4, dtype=torch.float64)
loader = DataLoader(TensorDataset(x), batch_size=config["training"]["batch_size"], shuffle=True)
model = nn.Linear(4, 4).double()
optimizer = torch.optim.Adam(
    [
        {"params": [model.weight], "lr": config["training"]["lr"]},
        {"params": [model.bias], "lr": 10 * config["training"]["lr"]},
    ]
)
for _ in range(3):
    for (inputs,) in loader:
        loss = (model(inputs) - inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.17g}")
