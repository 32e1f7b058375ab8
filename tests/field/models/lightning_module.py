"""A Lightning module and its data, and nothing that the advisor looks up."""

import lightning
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    def __init__(self, rate=0.01):
        super().__init__()
        self.rate = rate
        self.net = nn.Linear(8, 2)

    def training_step(self, batch, index):
        return functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.rate)


if __name__ == "__main__":
    x = torch.randn(512, 8)
    loader = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=32)
    lightning.Trainer(max_epochs=1).fit(Classifier(), loader)
