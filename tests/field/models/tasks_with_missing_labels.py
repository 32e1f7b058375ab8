"""Two tasks with learned weights; one of them is labelled for one sample in twenty, and is a mean over those.

A batch without any such label has a loss of NaN: one of 32 in five, one of 8 in two of three. Right: an answer at
a batch where the loss is finite, or a refusal; either way said: the loss is not finite at some batches, where,
and that an empty selection is the cause to look for. The answer is no success at a batch where it is NaN.
"""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 1e-2


class Patients(Dataset):
    def __init__(self):
        generator = torch.Generator().manual_seed(5)
        self.signal = torch.randn(4000, 10, generator=generator)
        self.known = torch.rand(4000, generator=generator) < 0.05

    def __len__(self):
        return len(self.signal)

    def __getitem__(self, index):
        x = self.signal[index]
        return {
            "signal": x,
            "labels": {"ill": (x[0] * x[1] > 0).long(), "age": x[2] + x[3] ** 2, "known": self.known[index]},
        }


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 64), nn.ReLU())
        self.heads = nn.ModuleDict({"ill": nn.Linear(64, 2), "age": nn.Linear(64, 1)})
        self.log_variance = nn.ParameterDict({"ill": torch.zeros(()), "age": torch.zeros(())})

    def forward(self, signal):
        hidden = self.body(signal)
        return {"outputs": {name: head(hidden) for name, head in self.heads.items()}, "hidden": hidden}


def build_model():
    return Model()


def build_dataset():
    return Patients()


def loss_fn(model, batch):
    outputs, labels = model(batch["signal"])["outputs"], batch["labels"]
    known = labels["known"]
    losses = {
        "ill": functional.cross_entropy(outputs["ill"], labels["ill"]),
        "age": functional.mse_loss(outputs["age"][known].squeeze(1), labels["age"][known]),
    }
    return sum((-s).exp() * losses[name] + s for name, s in model.log_variance.items())


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
