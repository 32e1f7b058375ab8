"""The data of a loader that the user's code has made: its data set, collate function, sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler

from advisor.worker.data.loader import Loading
from advisor.worker.data.opening import is_stream, open_datasets
from advisor.worker.data.source import DataSource
from advisor.worker.user.hooks import Hooks

_SHUFFLING = ("RandomSampler", "SeedableRandomSampler", "DistributedSampler")
"""Samplers, by name, that give each sample once an epoch in random order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderNames:
    """Where the user's code makes its loaders, as faults name it.

    Attributes:
        training: The training loader.
        held_out: The validation loader.
    """

    training: str
    held_out: str


def open_loaders(
    loader: object, held_out: object | None, hooks: Hooks, seed: int, names: LoaderNames
) -> DataSource:
    """Return the data of a training loader, and of a validation loader where there is one.

    Batches are made anew, of any size, of the loader's data set by its collate function.

    Args:
        loader: What the user trains on.
        held_out: What the user validates on; None to hold training samples out.
        hooks: Calls the user's code.
        seed: Seed of the order.
        names: Where they are made.

    Raises:
        UserCodeFailed: It is no DataLoader, or its batches cannot be made of another size.
    """
    checked = checked_loader(loader, hooks, names.training)
    validation = None if held_out is None else checked_loader(held_out, hooks, names.held_out)
    loading = Loading(
        hooks=hooks,
        collate_fn=checked.collate_fn,
        num_workers=checked.num_workers,
        seed=seed,
        held_out_collate_fn=None if validation is None else validation.collate_fn,
        dataset_hook=names.training,
        held_out_hook=names.held_out,
    )
    return open_datasets(
        checked.dataset,
        None if validation is None else validation.dataset,
        loading,
        sampler=None if is_stream(checked.dataset) else _own_sampler(checked),
    )


def checked_loader(loader: object, hooks: Hooks, name: str) -> DataLoader[Any]:
    """Return a loader whose batches can be made of any size.

    Raises:
        UserCodeFailed: It is none.
    """
    if not isinstance(loader, DataLoader):
        kind = type(loader).__name__
        raise hooks.reject(
            name,
            f"The loader is a {kind}, not a torch.utils.data.DataLoader.",
            "Give one DataLoader: several, or those of another library, cannot be given another "
            "batch size here.",
        )
    if is_stream(loader.dataset):
        return loader
    own: Any = type(loader.batch_sampler)
    if loader.batch_size is None and loader.batch_sampler is None:
        raise hooks.reject(
            name,
            "The loader has batch_size=None: its data set makes the batches.",
            "Let the data set return samples, and give the loader `batch_size=`.",
        )
    if own.__iter__ is not BatchSampler.__iter__:
        raise hooks.reject(
            name,
            f"The loader's {own.__name__} decides which samples share a batch, and how many: "
            "batches of another size cannot be made without it.",
            "Give `sampler=` or `shuffle=True` in place of `batch_sampler=`.",
        )
    return loader


def shuffles(loader: DataLoader[Any]) -> bool:
    """Return whether a loader gives its samples in an order other than the stored one."""
    return is_stream(loader.dataset) or not isinstance(_sampler(loader), SequentialSampler)


def _sampler(loader: DataLoader[Any]) -> Any:  # noqa: ANN401 - the user's
    # A batch sampler that is given makes the loader's own sampler a placeholder.
    return getattr(loader.batch_sampler, "sampler", loader.sampler)


def _own_sampler(loader: DataLoader[Any]) -> Sampler[int] | None:
    """Return a sampler that is to draw the epochs; None where shuffling stands for it.

    The stored order is shuffled too: whether it matters is measured on its own.
    """
    sampler = _sampler(loader)
    if isinstance(sampler, SequentialSampler):
        return None
    is_plain = not getattr(sampler, "replacement", False) and (
        getattr(sampler, "num_samples", None) in (None, len(loader.dataset))  # type: ignore[arg-type]
    )
    kind = type(sampler)
    if kind is RandomSampler or kind.__name__ in _SHUFFLING:
        return None if is_plain else sampler
    own: Sampler[int] = sampler
    return own
