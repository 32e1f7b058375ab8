"""A head on a frozen backbone: trained on digits 0 to 4, fine-tuned on all ten, AdamW."""

from __future__ import annotations

from functools import cache

import torch
from digits import build_dataset, build_eval_dataset, training_images
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["build_dataset", "build_eval_dataset", "build_model"]

REFERENCE_BATCH_SIZE = 16
REFERENCE_LR = 1e-3


def build_model() -> nn.Module:
    backbone = _untrained_backbone()
    backbone.load_state_dict(_backbone_weights())
    backbone.requires_grad_(requires_grad=False)
    head = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    return nn.Sequential(backbone, head)


@cache
def _backbone_weights() -> dict[str, Tensor]:
    """Return the weights of a backbone trained on the digits 0 to 4."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = _untrained_backbone()
        model = nn.Sequential(backbone, nn.Linear(64, 5))
        images, digits = training_images()
        known = digits < 5
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(40):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[known]), digits[known]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return {name: weight.detach() for name, weight in backbone.state_dict().items()}


def _untrained_backbone() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
    )
