"""Two groups of parameters, one at a fifth of the rate; gradients are clipped by a hook of the optimizer."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 2e-3


def build_model():
    return nn.Sequential(nn.Linear(10, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 5))


def build_dataset():
    x = torch.randn(2500, 10, generator=torch.Generator().manual_seed(29))
    return TensorDataset(x, (x[:, :5] - x[:, 5:]).argmax(1))


def build_optimizer(params, lr):
    matrices, vectors = ([p for p in params if (p.dim() > 1) is is_matrix] for is_matrix in (True, False))
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "lr": lr, "weight_decay": 0.1},
            {"params": vectors, "lr": lr / 5, "weight_decay": 0.0},
        ],
        lr=lr,
    )

    def clip(*_):
        nn.utils.clip_grad_norm_([*matrices, *vectors], 1.0)

    optimizer.register_step_pre_hook(clip)
    return optimizer
