# A compiled model, bfloat16, a scheduler a step from a lambda, settings in a class of constants.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Config:
    BATCH = 22
    BASE_LR = 8e-4
    EPOCHS = 2
    WARMUP = 10


torch.manual_seed(0)
x = torch.randn(440, 8)
train_dl = DataLoader(TensorDataset(x, x[:, :1].sign()), Config.BATCH, True)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
compiled = torch.compile(model, backend="eager")
opt = torch.optim.Adam(compiled.parameters(), Config.BASE_LR)
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: min(1.0, (step + 1) / Config.WARMUP))
for epoch in range(Config.EPOCHS):
    for xb, yb in train_dl:
        with torch.autocast("cpu", torch.bfloat16):
            loss = (compiled(xb) - yb).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        print(f"{loss.item():.17g}")
