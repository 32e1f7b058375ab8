# Looks at a first batch for its shapes, again in each epoch; two loaders read in turn.
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


class Squares(Dataset):
    def __len__(self):
        return 200

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        x = torch.randn(5, generator=generator)
        return {"x": x, "y": x.square().sum()}


def together(samples):
    return {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}


batch_size = 20
loader = DataLoader(Squares(), batch_size=batch_size, shuffle=True, collate_fn=together)
other = DataLoader(Squares(), batch_size=50)
model = nn.Sequential(nn.Linear(len(next(iter(loader))["x"][0]), 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for _ in range(3):
    print(next(iter(loader))["x"].shape, next(iter(other))["x"].shape)
    for batch in loader:
        loss = (model(batch["x"]).squeeze(1) - batch["y"]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{loss.item():.17g}")
