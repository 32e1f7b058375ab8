# Takes two backward passes a step, the second at weights that the first has moved.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class SAM(torch.optim.Optimizer):
    def __init__(self, params, base, rho=0.05, **kwargs):
        super().__init__(params, {"rho": rho, **kwargs})
        self.base = base(self.param_groups, **kwargs)

    @torch.no_grad()
    def step(self, closure):
        moved = []
        for group in self.param_groups:
            for parameter in group["params"]:
                moved.append((parameter, group["rho"] * parameter.grad))
                parameter.add_(moved[-1][1])
        with torch.enable_grad():
            closure()
        for parameter, change in moved:
            parameter.sub_(change)
        self.base.step()


torch.manual_seed(0)
x = torch.randn(96, 3)
model = nn.Linear(3, 1)
optimizer = SAM(model.parameters(), torch.optim.SGD, lr=0.1)
for (inputs,) in DataLoader(TensorDataset(x), batch_size=8):

    def closure():
        optimizer.zero_grad()
        loss = (model(inputs)[:, 0] - inputs.sum(1)).square().mean()
        loss.backward()
        return loss

    closure()
    optimizer.step(closure)
