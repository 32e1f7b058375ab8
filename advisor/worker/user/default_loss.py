"""The loss of a model file that defines none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_DEFINE = "Define `loss_fn(model, batch)` that returns a scalar."


class NoDefaultLoss(Exception):
    """No default loss suits the batch or the model's output.

    Attributes:
        fix: What to write.
    """

    def __init__(self, message: str, fix: str = _DEFINE) -> None:
        super().__init__(message)
        self.fix = fix


def default_loss(model: nn.Module, batch: Any) -> Any:  # noqa: ANN401 - the user's batch
    """Return the loss of ``model`` on ``batch``.

    A mapping batch is given to the model as keyword arguments and the output's ``loss`` is
    taken. Of an ``(x, y)`` batch, y is compared with the model's output for x: cross-entropy
    where y holds integers, mean squared error where it holds floats, and mean squared distance
    where y or the output is complex.

    Raises:
        NoDefaultLoss: Neither fits.
    """
    if isinstance(batch, Mapping):
        output = model(**batch)
        loss = _loss_of(output)
        if loss is None:
            raise NoDefaultLoss(
                "The model's output for a mapping batch has no `loss`.",
                _returning(output, "model(**batch)") or _DEFINE,
            )
        return loss
    if not isinstance(batch, list | tuple) or len(batch) != 2:
        what = f"{len(batch)} parts" if isinstance(batch, list | tuple) else type(batch).__name__
        raise NoDefaultLoss(f"The batch is neither a mapping nor (x, y), but {what}.")
    x, y = batch
    output = model(x)
    loss = _loss_of(output)
    if loss is not None:
        return loss
    if isinstance(output, list | tuple):
        raise NoDefaultLoss(
            f"The model returns a {type(output).__name__} of {len(output)} parts.",
            _returning(output, "model(batch[0])")
            or _with_targets(model, batch)
            or _comparing(output, y)
            or _DEFINE,
        )
    if not isinstance(output, Tensor) or not isinstance(y, Tensor):
        raise NoDefaultLoss(
            f"The model's output is a {type(output).__name__} and the target a "
            f"{type(y).__name__}; tensors are needed."
        )
    if _has_one_output(output, y):
        raise NoDefaultLoss(
            f"The model has one output a sample, and the target is {_kind(y)}: cross-entropy needs "
            "one output a class.",
            _written(
                f"torch.nn.functional.{_loss_of_one_output(y)}(\n"
                "            model(batch[0]).flatten(), batch[1].flatten().float())"
            ),
        )
    return _compare(output, y)


def _loss_of_one_output(target: Tensor) -> str:
    is_yes_or_no = target.dtype is torch.bool or set(target.flatten().tolist()) <= {0, 1}
    return "binary_cross_entropy_with_logits" if is_yes_or_no else "mse_loss"


def _has_one_output(output: Tensor, target: Tensor) -> bool:
    """Return whether each sample has one output, and a target that may be a class."""
    is_whole = not target.is_floating_point() and not target.is_complex()
    return is_whole and target.ndim > 0 and output.numel() == target.numel() == len(target)


def _returning(output: object, call: str) -> str | None:
    """Return the `loss_fn` that takes the loss out of a tuple; None where it holds none."""
    if not isinstance(output, list | tuple):
        return None
    for index, part in enumerate(output):
        if isinstance(part, Tensor) and part.numel() == 1 and part.requires_grad:
            return _written(f"{call}[{index}]")
    return None


def _with_targets(model: nn.Module, batch: Any) -> str | None:  # noqa: ANN401 - the user's batch
    """Return the `loss_fn` for a model that computes its loss where it is given the targets."""
    try:
        return _returning(model(*batch), "model(*batch)")
    except Exception:  # noqa: BLE001 - it was only a guess
        return None


def _comparing(output: list[Any] | tuple[Any, ...], y: object) -> str | None:
    """Return the `loss_fn` that compares the part of a tuple which suits the target."""
    for index, part in enumerate(output):
        if isinstance(part, Tensor) and isinstance(y, Tensor):
            with contextlib.suppress(NoDefaultLoss):
                _compare(part, y)
                if part.is_complex() or y.is_complex():
                    return _written(f"(model(batch[0])[{index}] - batch[1]).abs().square().mean()")
                name = "mse_loss" if y.is_floating_point() else "cross_entropy"
                call = f"model(batch[0])[{index}], batch[1]"
                return _written(f"torch.nn.functional.{name}({call})")
    return None


def _written(expression: str) -> str:
    return f"Add:\n    def loss_fn(model, batch):\n        return {expression}"


def _loss_of(output: object) -> Any:  # noqa: ANN401 - whatever stands under that name
    if isinstance(output, Mapping):
        return output.get("loss")
    return None if isinstance(output, Tensor) else getattr(output, "loss", None)


def _compare(output: Tensor, target: Tensor) -> Tensor:
    if target.is_floating_point() or target.is_complex():
        if output.shape != target.shape and output.numel() == target.numel():
            # (N, 1) against (N) would be broadcast to (N, N), silently.
            output = output.reshape(target.shape)
        if output.shape != target.shape:
            raise NoDefaultLoss(_mismatch(output, target))
        if output.is_complex() or target.is_complex():
            # mse_loss is not defined for them.
            return torch.view_as_real(output - target).square().sum(-1).mean()
        return functional.mse_loss(output, target.to(output.dtype))
    if output.is_complex():
        raise NoDefaultLoss("The model's output is complex and the target holds integers.")
    if output.ndim != target.ndim + 1 or output.shape[0] != target.shape[0]:
        raise NoDefaultLoss(_mismatch(output, target))
    if output.ndim > 2 and output.shape[1:-1] == target.shape[1:]:
        # One class distribution a position, the classes last, as language models return it.
        return functional.cross_entropy(output.flatten(0, -2), target.flatten().to(torch.long))
    if output.shape[2:] != target.shape[1:]:
        raise NoDefaultLoss(_mismatch(output, target))
    return functional.cross_entropy(output, target.to(torch.long))


def _mismatch(output: Tensor, target: Tensor) -> str:
    return (
        f"The output of shape {list(output.shape)} and the {_kind(target)} target of shape "
        f"{list(target.shape)} do not fit together."
    )


def _kind(target: Tensor) -> str:
    if target.dtype is torch.bool:
        return "boolean"
    if target.is_complex():
        return "complex"
    return "float" if target.is_floating_point() else "integer"
