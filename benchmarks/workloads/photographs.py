"""Two photographs, as patches and as pixels: the data of several workloads.

The photographs come with scikit-learn.
"""

from __future__ import annotations

from functools import cache

import torch
from sklearn.datasets import load_sample_image, load_sample_images
from torch import Tensor

SIDE = 8


@cache
def patches(*, held_out: bool) -> Tensor:
    """Return grey patches of shape N x 8 x 8, from -0.5 to 0.5.

    Those held out are of the lowest fifth of each photograph.
    """
    parts = []
    for image in load_sample_images().images:
        grey = torch.tensor(image.mean(axis=2), dtype=torch.float32) / 255 - 0.5
        border = grey.shape[0] * 4 // 5
        stride = 8 if held_out else 4
        rows = grey[border:] if held_out else grey[:border]
        parts.append(rows.unfold(0, SIDE, stride).unfold(1, SIDE, stride).reshape(-1, SIDE, SIDE))
    return torch.cat(parts).contiguous()


@cache
def pixels(*, held_out: bool) -> tuple[Tensor, Tensor]:
    """Return where pixels are, shape N x 2, from -1 to 1, and their colours, shape N x 3.

    Every other row and column is left out; of what remains, one pixel in forty is held out.
    """
    image = torch.tensor(load_sample_image("china.jpg")[::2, ::2], dtype=torch.float32) / 255
    height, width, _ = image.shape
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    places = torch.cartesian_prod(rows, columns)
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(0))
    border = len(places) // 40
    chosen = order[:border] if held_out else order[border:]
    return places[chosen], image.reshape(-1, 3)[chosen]
