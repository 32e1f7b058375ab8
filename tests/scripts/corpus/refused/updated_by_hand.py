# Changes the weights itself, without an optimizer.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
model = nn.Linear(3, 1)
x = torch.randn(90, 3)
for _ in range(2):
    for inputs, targets in DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=10):
        model.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
