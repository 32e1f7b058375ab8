"""The next letter of Python's standard library, a small transformer, AdamW."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from library import VOCABULARY, held_out_windows, windows
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 1e-3

CONTEXT = 32
WIDTH = 48
HEADS = 4


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, time, _ = x.shape
        q, k, v = self.qkv(self.norm(x)).view(batch, time, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, time, WIDTH))
        result: Tensor = x + self.mlp(x)
        return result


class LibraryGPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.place = nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.02)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.blocks(self.token(x) + self.place))
        return result


def build_model() -> nn.Module:
    return LibraryGPT()


def build_dataset() -> TensorDataset:
    return TensorDataset(windows(CONTEXT + 1, CONTEXT))


def build_eval_dataset() -> TensorDataset:
    return TensorDataset(held_out_windows(CONTEXT + 1, 512))


def loss_fn(model: nn.Module, batch: list[Tensor]) -> Tensor:
    (codes,) = batch
    return functional.cross_entropy(model(codes[:, :-1]).flatten(0, 1), codes[:, 1:].flatten())


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(params, lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
