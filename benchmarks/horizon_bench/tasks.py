"""Small models, their data and their optimizers, for stacks of trainings that share samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pydoc_data.topics import topics

import torch
from torch import Tensor
from torch.nn import functional

_CONTEXT, _EMBEDDING, _WIDTH = 12, 8, 64
_EVALUATED = 8192
_DRAWN = 16384
"""Samples that are drawn at once, so that those of a seed are the same whatever the batch."""

_SEED = 0

Weights = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A model of one hidden layer or two, its data, and its optimizer.

    Attributes:
        weights: Without the axis of the stack.
        predict: From stacked weights and inputs to predictions, shape (stack, B, outputs).
        loss: From predictions and labels to the loss of each member, shape (stack,).
        batches: From B to an endless stream of inputs and labels.
        held_out: Inputs and labels.
        is_adaptive: AdamW, or SGD with momentum.
        rates: Peak rates at batch 32; at others they are moved by the usual rule.
    """

    weights: Weights
    predict: Callable[[Weights, Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    batches: Callable[[int], Iterator[tuple[Tensor, Tensor]]]
    held_out: tuple[Tensor, Tensor]
    is_adaptive: bool
    rates: tuple[float, ...]


def letters() -> Task:
    """Return the next letter of Python's reference, AdamW."""
    generator = torch.Generator().manual_seed(_SEED)
    codes, count = _text()
    begun, rest = codes[: len(codes) * 9 // 10], codes[len(codes) * 9 // 10 :]
    windows = begun.unfold(0, _CONTEXT + 1, 1)
    inputs = _CONTEXT * _EMBEDDING
    weights = {
        "embedding": torch.randn(count, _EMBEDDING, generator=generator) * 0.5,
        "hidden": torch.randn(inputs, _WIDTH, generator=generator) * inputs**-0.5,
        "bias": torch.zeros(_WIDTH),
        "output": torch.randn(_WIDTH, count, generator=generator) * 0.1 * _WIDTH**-0.5,
    }

    def predict(weights: Weights, codes: Tensor) -> Tensor:
        embedded = weights["embedding"][:, codes].flatten(2)
        hidden = functional.gelu(embedded @ weights["hidden"] + weights["bias"][:, None])
        logits: Tensor = hidden @ weights["output"]
        return logits

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        wide = labels.expand(len(logits), -1)
        losses = functional.cross_entropy(logits.transpose(1, 2), wide, reduction="none")
        return losses.mean(1)

    def batches(size: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.Generator().manual_seed(_SEED)
        while True:
            places = torch.randperm(len(windows), generator=order)
            for one in places[: len(places) // size * size].view(-1, size):
                yield windows[one, :-1], windows[one, -1]

    stride = max(1, (len(rest) - _CONTEXT - 1) // _EVALUATED)
    held_out = rest.unfold(0, _CONTEXT + 1, stride)[:_EVALUATED]
    return Task(
        weights=weights,
        predict=predict,
        loss=loss,
        batches=batches,
        held_out=(held_out[:, :-1], held_out[:, -1]),
        is_adaptive=True,
        rates=tuple(1e-3 * 2 ** (k / 2) for k in range(11)),
    )


def classes() -> Task:
    """Return ten classes that a random network draws, SGD with momentum, fresh samples."""
    generator = torch.Generator().manual_seed(_SEED + 2)
    inputs, width, count = 32, 64, 10

    def layer(rows: int, columns: int, gain: float) -> Tensor:
        weights: Tensor = torch.randn(rows, columns, generator=generator) * gain * rows**-0.5
        return weights

    first, last = layer(inputs, 128, 2.0), layer(128, count, 6.0)

    def labelled(size: int, order: torch.Generator) -> tuple[Tensor, Tensor]:
        x = torch.randn(size, inputs, generator=order)
        shares = torch.softmax(torch.relu(x @ first) @ last, 1)
        return x, torch.multinomial(shares, 1, generator=order).squeeze(1)

    def batches(size: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.Generator().manual_seed(_SEED + 3)
        while True:
            x, y = labelled(_DRAWN, order)
            yield from zip(x.view(-1, size, inputs), y.view(-1, size), strict=True)

    def predict(weights: Weights, x: Tensor) -> Tensor:
        hidden = torch.relu(x @ weights["one"] + weights["bias"][:, None])
        logits: Tensor = hidden @ weights["two"]
        return logits

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        wide = labels.expand(len(logits), -1)
        losses = functional.cross_entropy(logits.transpose(1, 2), wide, reduction="none")
        return losses.mean(1)

    return Task(
        weights={
            "one": layer(inputs, width, 1.4),
            "bias": torch.zeros(width),
            "two": layer(width, count, 0.3),
        },
        predict=predict,
        loss=loss,
        batches=batches,
        held_out=labelled(_EVALUATED, generator),
        is_adaptive=False,
        rates=tuple(0.01 * 2 ** (k / 2) for k in range(-4, 9)),
    )


def _text() -> tuple[Tensor, int]:
    """Return Python's own reference, letter by letter, and how many letters there are."""
    text = "".join(topics[name] for name in sorted(topics))
    letters = {letter: code for code, letter in enumerate(sorted(set(text)))}
    return torch.tensor([letters[letter] for letter in text]), len(letters)


TASKS = {"letters": letters, "classes": classes}
