"""A small causal transformer on a repeating sequence: AdamW, default loss over (N, T, C)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

VOCABULARY = 40
CONTEXT = 32

REFERENCE_BATCH_SIZE = 16
REFERENCE_LR = 3e-3


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.1)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        split = self.query_key_value(self.norm_attention(x)).reshape(batch, time, 3, self.heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.projection(mixed.transpose(1, 2).reshape(batch, time, width))
        return torch.add(x, self.mlp(self.norm_mlp(x)))


class TinyGpt(nn.Module):
    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        logits: Tensor = self.head(self.blocks(self.tokens(tokens) + self.positions(positions)))
        return logits


class Windows(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        motif = torch.randint(VOCABULARY, (97,), generator=generator)
        self.text = motif.repeat(20)

    def __len__(self) -> int:
        return len(self.text) - CONTEXT - 1

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        window = self.text[index : index + CONTEXT + 1]
        return window[:-1], window[1:]


def build_model(width: int = 32, heads: int = 2, depth: int = 2) -> nn.Module:
    return TinyGpt(width, heads, depth)


def build_dataset() -> Windows:
    return Windows()


def build_optimizer(params: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(params, lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
