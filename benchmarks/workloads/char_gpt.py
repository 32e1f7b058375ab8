"""Next-letter prediction, a very small transformer, AdamW."""

from __future__ import annotations

import torch
from text import held_out_windows, training_windows, vocabulary_size
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 1e-3

CONTEXT = 32
WIDTH = 64


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
        q, k, v = self.qkv(self.norm(x)).view(batch, time, 3, 4, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, time, WIDTH))
        result: Tensor = x + self.mlp(x)
        return result


class CharGPT(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, WIDTH)
        self.place = nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.02)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, vocabulary))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.blocks(self.token(x) + self.place))
        return result


def build_model() -> nn.Module:
    return CharGPT(vocabulary_size())


def build_dataset() -> TensorDataset:
    return TensorDataset(training_windows(CONTEXT + 1, 16))


def build_eval_dataset() -> TensorDataset:
    return TensorDataset(held_out_windows(CONTEXT + 1, 256))


def loss_fn(model: nn.Module, batch: list[Tensor]) -> Tensor:
    (codes,) = batch
    return functional.cross_entropy(model(codes[:, :-1]).flatten(0, 1), codes[:, 1:].flatten())
