import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Loop:
    def __init__(self, settings):
        torch.manual_seed(0)
        self.settings = settings
        x = torch.randn(400, 4)
        self.data = TensorDataset(x, x.sum(1))
        self.model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=settings.lr)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, T_max=settings.epochs
        )

    def run(self):
        for epoch in range(self.settings.epochs):
            for x, y in DataLoader(self.data, batch_size=self.settings.batch_size, shuffle=True):
                loss = (self.model(x)[:, 0] - y).square().mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                print(f"{loss.item():.17g}")
            self.scheduler.step()
            for _ in DataLoader(self.data, batch_size=self.settings.eval_batch_size):
                pass
