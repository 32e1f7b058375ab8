"""GPT-2 with 124 million parameters on synthetic tokens, to estimate the memory that it needs.

Nothing is downloaded. Estimate the largest batch, with or without a GPU:

    bsadvise estimate examples/gpt2_124m.py --device a100-80gb
    bsadvise estimate examples/gpt2_124m.py --device rtx-4090 --device l4 --batch 8
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

VOCABULARY_SIZE = 50257
CONTEXT = 1024
WIDTH, HEADS, LAYERS = 768, 12, 12


class Block(nn.Module):
    """Causal self-attention, then an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.attention_out = nn.Linear(WIDTH, WIDTH)
        self.mlp_norm = nn.LayerNorm(WIDTH)
        self.mlp_in = nn.Linear(WIDTH, 4 * WIDTH)
        self.mlp_out = nn.Linear(4 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (batch, time, width) plus the outputs of attention and MLP."""
        batch, time, _ = x.shape
        mixed = self.query_key_value(self.attention_norm(x))
        query, key, value = mixed.view(batch, time, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.dropout(self.attention_out(attended.transpose(1, 2).reshape(x.shape)))
        hidden = F.gelu(self.mlp_in(self.mlp_norm(x)), approximate="tanh")
        added: Tensor = self.dropout(self.mlp_out(hidden))
        return x + added


class GPT2(nn.Module):
    """Predicts each next token from those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY_SIZE, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.dropout = nn.Dropout(0.1)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY_SIZE, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits (batch, time, vocabulary) of the token after each of ``tokens``."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.dropout(self.tokens(tokens) + self.positions(positions))
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.head(self.norm(x))
        return scores


def build_model() -> nn.Module:
    """Return GPT-2 with fresh weights."""
    return GPT2()


def make_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    """Return random tokens, and the targets one token later."""
    tokens = torch.zeros(batch_size, CONTEXT + 1, dtype=torch.long)
    return tokens[:, :-1], tokens[:, 1:]


def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy of a batch."""
    tokens, targets = batch
    return F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return AdamW as GPT-2 is commonly trained."""
    return torch.optim.AdamW(params, lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
