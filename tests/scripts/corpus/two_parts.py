# Two optimizers for the two parts of one model, of one loss, each with a rate and a schedule.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

batch_size = 28
matrix_lr, other_lr = 0.02, 3e-4
torch.manual_seed(0)
x = torch.randn(560, 6)
loader = DataLoader(TensorDataset(x, x.mean(1, keepdim=True)), batch_size=batch_size, shuffle=True)
model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
matrices = [p for p in model.parameters() if p.ndim == 2]
others = [p for p in model.parameters() if p.ndim != 2]
optimizers = [
    torch.optim.SGD(matrices, lr=matrix_lr, momentum=0.95),
    torch.optim.AdamW(others, lr=other_lr),
]
schedulers = [torch.optim.lr_scheduler.ConstantLR(one, total_iters=5) for one in optimizers]
for _ in range(2):
    for inputs, targets in loader:
        loss = nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        model.zero_grad(set_to_none=True)
        print(f"{loss.item():.17g}")
