# Validates every few steps without no_grad, in training mode, by the same function.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(3)
TRAIN_BATCH, VALID_BATCH, LR = 16, 16, 0.1


def losses_of(model, loader):
    for x, y in loader:
        yield nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y)


x = torch.randn(260, 3)
train_set, valid_set = random_split(TensorDataset(x, (x[:, 0] > 0).float()), [200, 60])
train_loader = DataLoader(train_set, batch_size=TRAIN_BATCH, shuffle=True)
valid_loader = DataLoader(valid_set, batch_size=VALID_BATCH)
model = nn.Linear(3, 1)
optimizer = torch.optim.RMSprop(model.parameters(), lr=LR)
print(sum(losses_of(model, valid_loader)).item())
for epoch in range(3):
    for number, loss in enumerate(losses_of(model, train_loader)):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if number % 5 == 0:
            print(f"{sum(losses_of(model, valid_loader)).item():.17g}")
