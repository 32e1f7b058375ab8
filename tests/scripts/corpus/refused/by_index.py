# Cuts batches out of tensors by a permutation, an epoch at a time.
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(400, 4), torch.randint(0, 2, (400,))
batch_size = 32
model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(3):
    order = torch.randperm(len(x))
    for i in range(0, len(x), batch_size):
        indices = order[i : i + batch_size]
        loss = nn.functional.cross_entropy(model(x[indices]), y[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
