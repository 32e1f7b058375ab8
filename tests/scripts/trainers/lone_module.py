"""A module with its own data, for another file to train."""

import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset


class Regression(L.LightningModule):
    def __init__(self, learning_rate=0.02):
        super().__init__()
        self.learning_rate = learning_rate
        self.layer = torch.nn.Linear(5, 1)

    def training_step(self, batch):
        x, y = batch
        return {"loss": torch.nn.functional.mse_loss(self.layer(x), y)}

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def train_dataloader(self):
        x = torch.randn(500, 5)
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=20, shuffle=True)
