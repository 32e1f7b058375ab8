"""Batches as users nest them: tensors in dictionaries, lists, tuples and objects of their own."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor


def map_tensors(value: Any, function: Callable[[Tensor], Any]) -> Any:  # noqa: ANN401 - a batch
    """Return ``value`` with ``function`` applied to each tensor in it.

    Containers keep their types; what is neither a container nor a tensor stays as it is.
    """
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return like_mapping(value, {k: map_tensors(v, function) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return like_sequence(value, [map_tensors(item, function) for item in value])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = copy.copy(value)
        for field in dataclasses.fields(value):
            # A frozen class refuses the plain way; the copy is ours to fill.
            object.__setattr__(
                changed, field.name, map_tensors(getattr(value, field.name), function)
            )
        return changed
    return value


def copy_of_batch(batch: Any) -> Any:  # noqa: ANN401 - a batch
    """Return a copy of a batch whose tensors may be changed without changing the batch's."""
    try:
        return copy.deepcopy(batch)
    except Exception:  # noqa: BLE001 - tensors with a history, and of classes of the user's
        return map_tensors(batch, lambda tensor: tensor.detach().clone())


def like_mapping(original: Mapping[Any, Any], items: dict[Any, Any]) -> Mapping[Any, Any]:
    """Return a mapping of ``original``'s type with other items."""
    if type(original) is dict or not isinstance(original, MutableMapping):
        return items
    # Transformers' BatchEncoding and its kin carry attributes beside their items.
    changed = copy.copy(original)
    for key, item in items.items():
        changed[key] = item
    return changed


def like_sequence(original: list[Any] | tuple[Any, ...], items: list[Any]) -> Any:  # noqa: ANN401
    """Return a list, tuple or named tuple of ``original``'s type with other items."""
    if hasattr(original, "_fields"):
        return type(original)(*items)
    return type(original)(items)


def tensors_in(value: Any) -> Iterator[Tensor]:  # noqa: ANN401 - a batch
    """Yield each tensor in ``value``, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors_in(getattr(value, field.name))


def move(value: Any, device: torch.device) -> Any:  # noqa: ANN401 - a batch
    """Return a batch on ``device``. Objects that know how to move themselves do it."""
    if hasattr(value, "to"):
        return value.to(device)
    if isinstance(value, Mapping):
        return like_mapping(value, {key: move(item, device) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return like_sequence(value, [move(item, device) for item in value])
    return map_tensors(value, lambda tensor: tensor.to(device))


def count_samples(batch: Any) -> int | None:  # noqa: ANN401 - a batch
    """Return how many samples a batch holds: its first tensor's first dimension.

    None when no tensor has one.
    """
    for tensor in tensors_in(batch):
        if tensor.ndim > 0:
            return tensor.size(0)  # Which nested tensors have too; they have no shape.
    return None


def count_elements(sample: Any) -> int:  # noqa: ANN401 - a sample
    """Return the size of one sample in elements: of tensors, arrays, lists and strings."""
    if isinstance(sample, Tensor):
        return sample.numel()
    if isinstance(sample, Mapping):
        return sum(count_elements(item) for item in sample.values())
    if isinstance(sample, list | tuple):
        return sum(count_elements(item) for item in sample)
    if isinstance(sample, str | bytes):
        return len(sample)
    size = getattr(sample, "size", 1)  # a NumPy array; an image's is (width, height)
    if isinstance(size, tuple):
        return int(torch.Size(size).numel()) if all(isinstance(n, int) for n in size) else 1
    return size if isinstance(size, int) else 1


def describe_shapes(sample: Any) -> str:  # noqa: ANN401 - a sample
    """Return the shape of each tensor in a sample as text, such as "float32[3, 8], int64[]"."""
    tensors = list(tensors_in(sample))
    if isinstance(sample, Mapping):
        named = [(key, list(tensors_in(item))) for key, item in sample.items()]
        return ", ".join(f"{key} {_shape(t)}" for key, found in named for t in found)
    return ", ".join(_shape(tensor) for tensor in tensors)


def _shape(tensor: Tensor) -> str:
    if tensor.is_nested and tensor.layout is torch.strided:
        shape = [str(tensor.size(0)), *("…" for _ in range(tensor.ndim - 1))]
    else:
        shape = list(map(str, tensor.shape))
    return f"{str(tensor.dtype).removeprefix('torch.')}[{', '.join(shape)}]"
