# Writes where it is started and beside itself, and goes on from a checkpoint where there is one.
import os

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

here = os.path.dirname(os.path.abspath(__file__))
os.makedirs("runs/first", exist_ok=True)
os.makedirs(os.path.join(here, "checkpoints"), exist_ok=True)
torch.manual_seed(0)
x = torch.randn(96, 4)
loader = DataLoader(TensorDataset(x), batch_size=6, shuffle=True)
model = nn.Linear(4, 4)
optimizer = torch.optim.Adamax(model.parameters(), lr=0.002)
last = os.path.join(here, "checkpoints", "last.pt")
if os.path.exists(last):
    model.load_state_dict(torch.load(last))
for epoch in range(3):
    for (inputs,) in loader:
        optimizer.zero_grad()
        loss = (model(inputs) - inputs).square().mean()
        loss.backward()
        optimizer.step()
        torch.save(model.state_dict(), last)
        with open("runs/first/losses.txt", "a") as stream:
            stream.write(f"{loss.item()}\n")
        print(f"{loss.item():.17g}")
