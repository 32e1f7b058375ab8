"""Two optimizers behind one: loss_fn takes a step of the critic, and returns the generator's loss."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 3e-4


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.maker = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
        self.critic = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
        self.of_critic = torch.optim.RMSprop(self.critic.parameters(), lr=1e-3)


def build_model():
    return Pair()


def build_dataset():
    generator = torch.Generator().manual_seed(11)
    return TensorDataset(torch.randn(3000, 2, generator=generator) * torch.tensor([2.0, 0.2]))


def loss_fn(model, batch):
    (real,) = batch
    made = model.maker(torch.randn(real.shape[0], 4, device=real.device))
    if torch.is_grad_enabled():
        model.of_critic.zero_grad()
        wrong = functional.softplus(model.critic(made.detach())) + functional.softplus(-model.critic(real))
        wrong.mean().backward()
        model.of_critic.step()
    return functional.softplus(-model.critic(made)).mean()
