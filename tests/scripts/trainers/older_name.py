"""The older name of Lightning, a loader given to fit, accumulation, constants and no main guard."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 12
RATE = 0.05


class Autoencoder(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 6))

    def training_step(self, batch, batch_idx):
        return nn.functional.mse_loss(self.layers(batch[0]), batch[0])

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=RATE, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


loader = DataLoader(TensorDataset(torch.randn(600, 6)), batch_size=BATCH_SIZE, shuffle=True)
trainer = pl.Trainer(max_epochs=5, accumulate_grad_batches=2, logger=False)
trainer.fit(Autoencoder(), loader)
