"""GPT-2 with 124,439,808 parameters, in bf16, each block compiled.

Blocks are compiled one by one: they are equal, so that one compilation serves all twelve.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from scale import IS_COMPILED, IS_SMALL
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

PRECISION = "bf16"
VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS = (
    (256, 32, 64, 2, 2) if IS_SMALL else (50257, 1024, 768, 12, 12)
)
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1


class CausalAttention(nn.Module):
    """Self-attention in which each token sees those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(WIDTH, 3 * WIDTH)
        self.output = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the heads attend to; like ``x``, of shape batch x tokens x width."""
        heads = self.inputs(x).unflatten(-1, (3, HEADS, WIDTH // HEADS))
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        result: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return result


class Block(nn.Module):
    """Attention, then two linear layers, each added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.first_norm = nn.LayerNorm(WIDTH)
        self.attention = CausalAttention()
        self.second_norm = nn.LayerNorm(WIDTH)
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(approximate="tanh"), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, of the shape of ``x``."""
        x = x + self.attention(self.first_norm(x))
        added: Tensor = self.layers(self.second_norm(x))
        return x + added


class GPT2(nn.Module):
    """Gives scores for each next token."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.scores = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.scores.weight = self.tokens.weight
        self.apply(_initialise)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return scores of shape batch x tokens x vocabulary."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(positions)
        result: Tensor = self.scores(self.norm(self.blocks(x)))
        return result


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def build_model() -> nn.Module:
    """Return GPT-2 with fresh weights."""
    model = GPT2()
    if IS_COMPILED:
        for block in model.blocks:
            block.compile()
    return model


def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy of the next tokens."""
    tokens, targets = batch
    return F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return AdamW with GPT-2's usual constants."""
    return torch.optim.AdamW(params, lr=lr, betas=BETAS, weight_decay=WEIGHT_DECAY)
