# A gradient scaler, whose first steps overflow and are skipped; autocast; short flags.
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("-b", "--batch", type=int, default=24)
parser.add_argument("-l", "--learning-rate", type=float, default=1e-4)
args = parser.parse_args()

torch.manual_seed(0)
x = torch.randn(480, 4)
loader = DataLoader(TensorDataset(x, x.mean(1, keepdim=True)), batch_size=args.batch, shuffle=True)
model = nn.Linear(4, 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**19)
for _ in range(3):
    for inputs, targets in loader:
        with torch.autocast("cpu", dtype=torch.float16):
            loss = nn.functional.mse_loss(model(inputs), targets.half())
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        print(f"{loss.item():.17g} {scaler.get_scale()}")
