# Two optimizers in turn: a generator and what tells its samples from real ones.
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--batchSize", type=int, default=25)
parser.add_argument("--lr", type=float, default=0.0002)
opt = parser.parse_args()
torch.manual_seed(0)
loader = DataLoader(TensorDataset(torch.randn(250, 4)), batch_size=opt.batchSize, shuffle=True)
generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)
optimizer_c = torch.optim.Adam(critic.parameters(), lr=opt.lr, betas=(0.5, 0.999))
optimizer_g = torch.optim.Adam(generator.parameters(), lr=opt.lr, betas=(0.5, 0.999))
loss_of = nn.BCEWithLogitsLoss()
for _ in range(3):
    for (real,) in loader:
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        fake = generator(torch.randn(len(real), 2))
        optimizer_c.zero_grad()
        loss_of(critic(real), ones).backward()
        loss_of(critic(fake.detach()), zeros).backward()
        optimizer_c.step()
        optimizer_g.zero_grad()
        loss = loss_of(critic(fake), ones)
        loss.backward()
        optimizer_g.step()
        print(f"{loss.item():.17g}")
