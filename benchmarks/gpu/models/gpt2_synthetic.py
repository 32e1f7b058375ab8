"""GPT-2 on random tokens."""

from __future__ import annotations

import torch
from gpt2_network import (  # noqa: F401 - names of the model file
    CONTEXT,
    PRECISION,
    VOCABULARY,
    build_model,
    build_optimizer,
    loss_fn,
)
from torch import Tensor


def make_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    """Return tokens, and the same one place on, each of shape batch x context."""
    tokens = torch.randint(VOCABULARY, (batch_size, CONTEXT + 1))
    return tokens[:, :-1], tokens[:, 1:]
