"""A decoder-only transformer in the shape of GPT-2, its two embeddings tied."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

VOCABULARY = 512
CONTEXT = 64


class Block(nn.Module):
    """Attention, then an MLP, each with a residual connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        batch, length, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(y.transpose(1, 2).reshape(batch, length, width))
        residual: Tensor = self.mlp(self.mlp_norm(x))
        return x + residual


class GPT(nn.Module):
    """Predicts the next token."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of the token after each of ``tokens``."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(positions)
        scores: Tensor = self.head(self.norm(self.blocks(x)))
        return scores


def build_model(width: int = 64, heads: int = 4, layers: int = 2) -> nn.Module:
    """Return the model with fresh weights."""
    return GPT(width, heads, layers)


def make_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    """Return random tokens, and the targets one token later."""
    tokens = torch.randint(VOCABULARY, (batch_size, CONTEXT + 1))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy over all tokens of a batch."""
    tokens, targets = batch
    scores = model(tokens)
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten())


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return the optimizer."""
    return torch.optim.AdamW(params, lr=lr, weight_decay=0.1)
