"""Makes batches and models of fake tensors: shapes alone, without storage or samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from advisor.worker.data.source import DataSource
from advisor.worker.user.batch_tree import like_mapping, like_sequence, map_tensors


class NotUnderstood(Exception):
    """How a batch grows with its samples cannot be told from two small ones."""


def fake_batch(
    data: DataSource,
    batch_size: int,
    device: torch.device,
    mode: FakeTensorMode,
    sample: int | None = None,
) -> Any:  # noqa: ANN401 - a batch
    """Return a batch of fake tensors, with one sample in every place: the largest, or another.

    Two small batches show how each dimension grows with the samples, so that no batch of the
    size asked for need be loaded. Where they do not show it, it is, and imitated.
    """
    try:
        two, three = (data.longest_batch(count, sample) for count in (2, 3))
        return _extrapolate(two, three, batch_size, device, mode)
    except NotUnderstood:
        return _imitate(data.longest_batch(batch_size, sample), device, mode)


def fake_typical_batch(
    data: DataSource, batch_size: int, device: torch.device, mode: FakeTensorMode
) -> Any:  # noqa: ANN401 - a batch
    """Return a batch of fake tensors, with samples as they come."""
    return _imitate(data.typical_batch(batch_size), device, mode)


def _imitate(batch: Any, device: torch.device, mode: FakeTensorMode) -> Any:  # noqa: ANN401
    return map_tensors(batch, lambda tensor: _empty(tensor, tensor.shape, device, mode))


def _extrapolate(
    two: Any, three: Any, count: int, device: torch.device, mode: FakeTensorMode  # noqa: ANN401
) -> Any:  # fmt: skip  # noqa: ANN401
    """Return what a batch of ``count`` samples holds, given those of two and of three."""
    if type(two) is not type(three):
        raise NotUnderstood
    if isinstance(two, Tensor):
        return _extrapolate_tensor(two, three, count, device, mode)
    if isinstance(two, Mapping):
        if list(two) != list(three):
            raise NotUnderstood
        items = {key: _extrapolate(two[key], three[key], count, device, mode) for key in two}
        return like_mapping(two, items)
    if isinstance(two, list | tuple):
        return _extrapolate_sequence(two, three, count, device, mode)
    if dataclasses.is_dataclass(two) or hasattr(two, "to"):
        raise NotUnderstood
    if isinstance(two, int) and not isinstance(two, bool):
        return _extrapolate_size(two, three, count)
    if isinstance(two, str | bytes | bool | float | None) and two == three:
        return two
    raise NotUnderstood


def _extrapolate_sequence(
    two: Any, three: Any, count: int, device: torch.device, mode: FakeTensorMode  # noqa: ANN401
) -> Any:  # fmt: skip  # noqa: ANN401
    if len(two) == len(three):
        pairs = zip(two, three, strict=True)
        return like_sequence(two, [_extrapolate(a, b, count, device, mode) for a, b in pairs])
    if (len(two), len(three)) != (2, 3):
        raise NotUnderstood
    # One item a sample, and every sample the same.
    items = (map_tensors(two[0], lambda t: _empty(t, t.shape, device, mode)) for _ in range(count))
    return like_sequence(two, list(items))


def _extrapolate_tensor(
    two: Tensor, three: Tensor, count: int, device: torch.device, mode: FakeTensorMode
) -> Tensor:
    if two.ndim != three.ndim or two.dtype != three.dtype or two.layout is not torch.strided:
        raise NotUnderstood
    pairs = zip(two.shape, three.shape, strict=True)
    return _empty(two, torch.Size(_extrapolate_size(a, b, count) for a, b in pairs), device, mode)


def _extrapolate_size(two: int, three: int, count: int) -> int:
    size = two + (three - two) * (count - 2)
    if three < two or size < 0:
        raise NotUnderstood
    return size


def _empty(
    original: Tensor, shape: torch.Size, device: torch.device, mode: FakeTensorMode
) -> Tensor:
    with mode:
        return torch.empty(shape, dtype=original.dtype, device=device)


def make_fake(model: nn.Module, device: torch.device, mode: FakeTensorMode) -> None:
    """Replace each parameter and buffer of a model by a fake one on ``device``, in place.

    What is shared between modules stays shared. ``Module.to`` would not do: it leaves a fake
    tensor on the device that it was made on.
    """
    made: dict[int, Tensor] = {}

    def imitate(tensor: Tensor) -> Tensor:
        if isinstance(tensor, FakeTensor) and tensor.device == device:
            return tensor
        if id(tensor) not in made:
            with mode:
                made[id(tensor)] = torch.empty_strided(
                    tensor.size(), tensor.stride(), dtype=tensor.dtype, device=device
                )
        return made[id(tensor)]

    # Replaced in the second loop, since what is let go of may lend its id to another.
    replacements: list[tuple[nn.Module, str, Tensor]] = []
    parameters: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            fake = imitate(parameter)
            if fake is not parameter and id(parameter) not in parameters:
                with mode:
                    parameters[id(parameter)] = nn.Parameter(fake, parameter.requires_grad)
            replacements.append((module, name, parameters.get(id(parameter), parameter)))
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            replacements.append((module, name, imitate(buffer)))
    for module, name, tensor in replacements:
        # Not through the module's dictionaries: recurrent layers keep a list beside them, which
        # their own __setattr__ mends.
        setattr(module, name, tensor)
