# Each step sees all rows, as on one graph.
import torch
from torch import nn

torch.manual_seed(0)
features, labels = torch.randn(2708, 8), torch.randint(0, 7, (2708,))
training = torch.rand(2708) < 0.1
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 7))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for epoch in range(50):
    model.train()
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(features)[training], labels[training]).backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        model(features[~training])
