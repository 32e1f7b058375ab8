# Ends with an exit code where the loss is not finite; raises the rate by hand in each step.
import math
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(128, 4)
loader = DataLoader(TensorDataset(x), batch_size=8, shuffle=True)
model = nn.Linear(4, 4)
peak, warm_up = 0.25, 40
optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
step = 0
for _ in range(3):
    for (inputs,) in loader:
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1.0, (step + 1) / warm_up)
        loss = (model(inputs) - inputs).square().mean()
        if not math.isfinite(loss.item()):
            print("the loss is not finite, stopping")
            sys.exit(1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        print(f"{loss.item():.17g} {group['lr']}")
