"""A small character-level GPT, trained with AdamW on the text of Python's language reference.

The text, about 465,000 characters, is part of Python, for ``help()``. Nothing is downloaded. Try

    bsadvise recommend examples/char_gpt.py --memory-limit 512MiB

The memory limit simulates a device with little memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pydoc_data.topics import topics

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name
from torch.utils.data import Dataset

# The reference recipe.
REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 1e-3

CONTEXT = 64  # Context length, characters.
STRIDE = 16  # Characters from the start of one training sample to the next.


class Block(nn.Module):
    """A transformer block: causal self-attention, then an MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (batch, time, width) plus the outputs of attention and MLP."""
        batch, time, width = x.shape
        mixed = self.query_key_value(self.attention_norm(x))
        # (batch, time, 3 * width) -> query, key and value of (batch, head, time, width of head)
        query, key, value = mixed.view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attention_out(attended.transpose(1, 2).reshape(batch, time, width))
        added: Tensor = self.mlp(x)
        return x + added


class CharGPT(nn.Module):
    """Predicts each next character from those before it."""

    def __init__(self, vocabulary_size: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary_size, width)
        self.positions = nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary_size)
        # Small embeddings, so that training begins near an even guess over all characters.
        nn.init.normal_(self.characters.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits (batch, time, vocabulary) of the character after each of ``tokens``."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.characters(tokens) + self.positions(positions)
        scores: Tensor = self.head(self.norm(self.blocks(x)))
        return scores


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """Windows of text; the target is the window one character later."""

    def __init__(self, tokens: Tensor, stride: int) -> None:
        self.tokens = tokens
        self.stride = stride

    def __len__(self) -> int:
        """Return how many whole windows there are."""
        return (len(self.tokens) - CONTEXT - 1) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return characters and, for each, the one that follows."""
        start = index * self.stride
        window = self.tokens[start : start + CONTEXT + 1]
        return window[:-1], window[1:]


def build_model(width: int = 128, heads: int = 4, layers: int = 3) -> nn.Module:
    """Return the model with fresh weights: 0.6 million of them."""
    vocabulary, _ = _load()
    return CharGPT(len(vocabulary), width, heads, layers)


def build_dataset() -> Dataset[tuple[Tensor, Tensor]]:
    """Return the training data: the first nine tenths of the text."""
    _, tokens = _load()
    return Windows(tokens[: len(tokens) * 9 // 10], STRIDE)


def build_eval_dataset() -> Dataset[tuple[Tensor, Tensor]]:
    """Return the held-out data: the last tenth of the text."""
    _, tokens = _load()
    return Windows(tokens[len(tokens) * 9 // 10 :], CONTEXT)


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return the optimizer; the advisor chooses ``lr``."""
    return torch.optim.AdamW(params, lr=lr, weight_decay=0.1)


def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy over all characters of a batch."""
    tokens, targets = batch
    scores = model(tokens)
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten())


@cache
def _load() -> tuple[str, Tensor]:
    """Return the vocabulary, and the text as indices into it."""
    text = "\n".join(topics[name] for name in sorted(topics))
    vocabulary = "".join(sorted(set(text)))
    place = {character: index for index, character in enumerate(vocabulary)}
    return vocabulary, torch.tensor([place[character] for character in text])
