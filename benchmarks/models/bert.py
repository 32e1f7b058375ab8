"""A small BERT that classifies sentences, from a Transformers configuration."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

VOCABULARY = 1000
CONTEXT = 64
CLASSES = 2


def build_model(width: int = 64, layers: int = 2) -> BertForSequenceClassification:
    """Return the model with fresh weights."""
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=4 * width,
            max_position_embeddings=CONTEXT,
            num_labels=CLASSES,
        )
    )


def make_batch(batch_size: int) -> dict[str, Tensor]:
    """Return synthetic sentences without padding, and their classes."""
    return {
        "input_ids": torch.randint(VOCABULARY, (batch_size, CONTEXT)),
        "attention_mask": torch.ones(batch_size, CONTEXT, dtype=torch.long),
        "labels": torch.randint(CLASSES, (batch_size,)),
    }
