# Named constants at the top, no main guard, the last batch smaller.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

HIDDEN = 100
BATCH_SIZE = 100
LEARNING_RATE = 0.001

torch.manual_seed(0)
x = torch.randn(1010, 6)
y = x.sum(1, keepdim=True)
loader = DataLoader(dataset=TensorDataset(x, y), batch_size=BATCH_SIZE, shuffle=True)
model = nn.Sequential(nn.Linear(6, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
for epoch in range(3):
    for i, (inputs, targets) in enumerate(loader):
        loss = criterion(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} of {len(loader)} steps: {loss.item():.17g}")
