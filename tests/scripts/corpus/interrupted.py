# Catches interrupts, to keep a checkpoint, and any exception, to try again with a smaller batch.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(512, 4)
model = nn.Linear(4, 4)


def train(batch_size):
    loader = DataLoader(TensorDataset(x), batch_size=batch_size, shuffle=True)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.07)
    for epoch in range(2):
        for (inputs,) in loader:
            optimizer.zero_grad()
            loss = (model(inputs) - inputs).square().mean()
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.17g}")


batch_size = 16
while batch_size:
    try:
        train(batch_size)
        break
    except KeyboardInterrupt:
        torch.save(model.state_dict(), "interrupted.pt")
        break
    except BaseException as error:
        print("again with less", error)
        batch_size //= 2
