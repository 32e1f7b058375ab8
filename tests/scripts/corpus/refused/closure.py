# LBFGS computes the loss several times a step.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(64, 3)
model = nn.Linear(3, 1)
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.8)
for inputs, targets in DataLoader(TensorDataset(x, x.sum(1)), batch_size=16):

    def closure():
        optimizer.zero_grad()
        loss = (model(inputs)[:, 0] - targets).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
