# Numbers where they are used; the evaluation loader has the same one.
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
data = TensorDataset(torch.randn(640, 4), torch.randint(0, 2, (640,)))
held_out = TensorDataset(torch.randn(64, 4), torch.randint(0, 2, (64,)))
test_loader = DataLoader(held_out, 32)
train_loader = DataLoader(data, 32, shuffle=True, drop_last=True)
model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
for _ in range(2):
    with torch.no_grad():
        print(sum(F.cross_entropy(model(x), y).item() for x, y in test_loader))
    for x, y in train_loader:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
