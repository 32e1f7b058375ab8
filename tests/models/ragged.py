"""Sequences of unlike lengths, padded by a collate_fn, in a mapping batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

LONGEST = 37


class Sequences(Dataset[dict[str, Tensor]]):
    def __len__(self) -> int:
        return 300

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        length = LONGEST if index == 123 else 4 + index % 20
        generator = torch.Generator().manual_seed(index)
        tokens = torch.randint(1, 30, (length,), generator=generator)
        return {"tokens": tokens, "label": (tokens[0] > 15).long()}


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 24, padding_idx=0)
        self.head = nn.Linear(24, 2)

    def forward(self, tokens: Tensor, label: Tensor) -> dict[str, Tensor]:
        logits = self.head(torch.tanh(self.embedding(tokens)).mean(1))
        return {"loss": functional.cross_entropy(logits, label), "logits": logits}


def build_model() -> nn.Module:
    return Bag()


def build_dataset() -> Sequences:
    return Sequences()


def collate_fn(samples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {
        "tokens": pad_sequence([sample["tokens"] for sample in samples], batch_first=True),
        "label": torch.stack([sample["label"] for sample in samples]),
    }
