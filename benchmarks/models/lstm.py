"""A language model of two LSTM layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

VOCABULARY = 96
CONTEXT = 48


class LanguageModel(nn.Module):
    """Predicts the next character."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.lstm = nn.LSTM(width, width, num_layers=2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of the character after each of ``tokens``."""
        hidden, _ = self.lstm(self.embedding(tokens))
        scores: Tensor = self.head(hidden)
        return scores


def build_model(width: int = 96) -> nn.Module:
    """Return the model with fresh weights."""
    return LanguageModel(width)


def make_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    """Return random characters, and the targets one character later."""
    tokens = torch.randint(VOCABULARY, (batch_size, CONTEXT + 1))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
