# Everything in a JSON file beside the script, found by its own path.
import json
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

config = json.loads((Path(__file__).parent / "config.json").read_text())
torch.manual_seed(config["seed"])
x = torch.randn(config["samples"], 4)
loader = DataLoader(TensorDataset(x), batch_size=config["data"]["batch_size"], shuffle=True)
model = nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), **config["optimizer"])
scheduler = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, max_lr=config["max_lr"], total_steps=len(loader) * config["epochs"]
)
for _ in range(config["epochs"]):
    for (inputs,) in loader:
        optimizer.zero_grad()
        loss = (model(inputs) - inputs).square().mean()
        loss.backward()
        optimizer.step()
        scheduler.step()
        print(f"{loss.item():.17g} {scheduler.get_last_lr()[0]:.17g}")
