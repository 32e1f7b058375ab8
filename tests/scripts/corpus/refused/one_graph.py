# A loader of one sample, the whole graph.
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
features, labels = torch.randn(300, 8), torch.randint(0, 3, (300,))


class Graph(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return features, labels


model = nn.Linear(8, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(30):
    for x, y in DataLoader(Graph(), batch_size=1):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[0]), y[0]).backward()
        optimizer.step()
