# An average of the weights, groups with and without decay, warm-up and cosine set by hand each step.
import copy
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm


@dataclass
class TrainConfig:
    batch_size: int = 18
    learning_rate: float = 6e-3
    min_lr: float = 6e-4
    weight_decay: float = 0.1
    warmup_iters: int = 5
    max_iters: int = 60
    ema_decay: float = 0.99
    eval_interval: int = 20


config = TrainConfig()


def rate_at(step):
    if step < config.warmup_iters:
        return config.learning_rate * (step + 1) / (config.warmup_iters + 1)
    done = (step - config.warmup_iters) / (config.max_iters - config.warmup_iters)
    shape = 0.5 * (1 + math.cos(math.pi * done))
    return config.min_lr + shape * (config.learning_rate - config.min_lr)


@torch.no_grad()
def average_into(average, model):
    for kept, new in zip(average.parameters(), model.parameters()):
        kept.lerp_(new, 1 - config.ema_decay)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    losses = [nn.functional.mse_loss(model(x), y) for x, y in loader]
    model.train()
    return torch.stack(losses).mean().item()


torch.manual_seed(1337)
x = torch.randn(360, 6)
data = TensorDataset(x, x.square().mean(1, keepdim=True))
loader = DataLoader(data, batch_size=config.batch_size, shuffle=True)
held_out = DataLoader(data, batch_size=config.batch_size)
model = nn.Sequential(nn.Linear(6, 12), nn.SiLU(), nn.Linear(12, 1))
average = copy.deepcopy(model).requires_grad_(False)
groups = [
    {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
    {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
]
optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95))
step = 0
while step < config.max_iters:
    for inputs, targets in tqdm(loader, disable=None):
        if step % config.eval_interval == 0:
            print(f"evaluated {evaluate(average, held_out):.17g}")
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        loss = nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average_into(average, model)
        step += 1
        print(f"{step} {loss.item():.17g}")
        if step == config.max_iters:
            break
