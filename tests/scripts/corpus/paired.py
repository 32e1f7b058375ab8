# Two loaders in turn for each step: labelled samples and, of another batch size, unlabelled ones.
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--labelled-batch", type=int, default=9)
parser.add_argument("--unlabelled-batch", type=int, default=36)
parser.add_argument("--lr", type=float, default=0.15)
args = parser.parse_args()
torch.manual_seed(0)
x, u = torch.randn(180, 4), torch.randn(720, 4)
labelled = DataLoader(TensorDataset(x, x.argmax(1)), args.labelled_batch, shuffle=True)
unlabelled = DataLoader(TensorDataset(u), args.unlabelled_batch, shuffle=True)
model = nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
for epoch in range(2):
    for (inputs, labels), (others,) in zip(labelled, unlabelled):
        loss = nn.functional.cross_entropy(model(inputs), labels)
        loss = loss + 0.1 * torch.distributions.Categorical(logits=model(others)).entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.17g}")
