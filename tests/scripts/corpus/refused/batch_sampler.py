# A batch sampler of its own decides which samples, and how many, make a batch.
import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

torch.manual_seed(0)


class ByLength(Sampler):
    def __init__(self, lengths, most):
        self.batches = []
        batch = []
        for index in torch.argsort(lengths).tolist():
            batch.append(index)
            if sum(int(lengths[i]) for i in batch) >= most:
                self.batches.append(batch)
                batch = []

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


x = torch.randn(200, 4)
sampler = ByLength(torch.randint(1, 20, (200,)), 64)
loader = DataLoader(TensorDataset(x), batch_sampler=sampler)
model = nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for (inputs,) in loader:
    optimizer.zero_grad()
    (model(inputs) - inputs).square().mean().backward()
    optimizer.step()
