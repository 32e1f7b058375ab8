"""A small vision transformer, from a Transformers configuration."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import ViTConfig, ViTForImageClassification

SIDE = 32
CLASSES = 10


def build_model(width: int = 64, layers: int = 2) -> ViTForImageClassification:
    """Return the model with fresh weights."""
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=4 * width,
            image_size=SIDE,
            patch_size=4,
            num_labels=CLASSES,
        )
    )


def make_batch(batch_size: int) -> dict[str, Tensor]:
    """Return synthetic images and their classes."""
    return {
        "pixel_values": torch.randn(batch_size, 3, SIDE, SIDE),
        "labels": torch.randint(CLASSES, (batch_size,)),
    }
