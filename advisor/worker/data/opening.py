"""Calls the hooks that give data, and checks what they return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, Sampler

from advisor.domain.limits import DATASET_SIZE
from advisor.worker.data.indexed import IndexedData
from advisor.worker.data.loader import Loading
from advisor.worker.data.source import MAX_HELD_OUT_SAMPLES, DataSource
from advisor.worker.data.streamed import StreamedData, take
from advisor.worker.data.synthetic import SyntheticData
from advisor.worker.user.hooks import Hooks
from advisor.worker.user.model_file import ModelFile


def open_data(file: ModelFile, hooks: Hooks, seed: int) -> DataSource:
    """Return the data of a model file.

    Raises:
        UserCodeFailed: A hook raised, or returned what is not a data set or an empty one.
    """
    if file.build_dataset is None:
        if file.make_batch is None:
            raise AssertionError("a model file has data or makes it up")
        return SyntheticData(file.make_batch, hooks)
    loading = Loading(
        hooks=hooks,
        collate_fn=file.collate_fn,
        num_workers=file.num_workers,
        seed=seed,
        build_longest_sample=file.build_longest_sample,
    )
    dataset = _build(hooks, "build_dataset", file.build_dataset)
    evaluation = None
    if file.build_eval_dataset is not None:
        evaluation = _build(hooks, "build_eval_dataset", file.build_eval_dataset)
    return open_datasets(
        dataset, evaluation, loading, made_by=(file.build_dataset, file.build_eval_dataset)
    )


def open_datasets(
    dataset: Any,  # noqa: ANN401 - the user's
    evaluation: Any | None,  # noqa: ANN401 - the user's
    loading: Loading,
    *,
    sampler: Sampler[int] | None = None,
    made_by: tuple[object, object] = (None, None),
) -> DataSource:
    """Return the data of data sets that are made already.

    Args:
        dataset: The training data.
        evaluation: The held-out data; None to hold training samples out.
        loading: How batches are made.
        sampler: Draws each epoch's samples; None to shuffle them.
        made_by: The functions that made them, whose lines faults give.

    Raises:
        UserCodeFailed: One of them is empty, or longer than can be.
    """
    hooks, hook = loading.hooks, loading.dataset_hook
    if evaluation is not None:
        held_out_hook = loading.held_out_hook
        if is_stream(evaluation):
            evaluation = hooks.call(held_out_hook, take, evaluation, MAX_HELD_OUT_SAMPLES)
        _refuse_empty(hooks, held_out_hook, made_by[1], len(evaluation))
    if is_stream(dataset):
        streamed = StreamedData(dataset, evaluation, loading)
        _refuse_empty(hooks, hook, made_by[0], 0 if streamed.is_empty else 1)
        return streamed
    size = hooks.call(hook, len, dataset)
    _refuse_empty(hooks, hook, made_by[0], size)
    if not DATASET_SIZE.holds(size):
        raise hooks.reject(
            hook,
            f"{hook} returns a data set of {size} samples; they must be {DATASET_SIZE}.",
            "Return an IterableDataset where there is no end, or correct `__len__`.",
            function=made_by[0],
        )
    return IndexedData(dataset, evaluation, loading, sampler)


def is_stream(dataset: object) -> bool:
    """Return whether samples come one after another, without an index."""
    return isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__")


def _build(hooks: Hooks, hook: str, function: Callable[[], Any]) -> Any:  # noqa: ANN401
    dataset = hooks.call(hook, function)
    problem = _problem(dataset)
    if problem is not None:
        message, fix = problem
        raise hooks.reject(hook, f"{hook} {message}", fix, function=function)
    return dataset


def _problem(dataset: object) -> tuple[str, str] | None:
    kind = type(dataset).__name__
    if isinstance(dataset, DataLoader):
        fix = "Return its data set: batches are made here. Call its collate function `collate_fn`."
        return "returns a DataLoader.", fix
    if dataset is None:
        return "returns None.", "Return the data set."
    if isinstance(dataset, Mapping):
        return (
            f"returns a {kind} of {', '.join(map(str, list(dataset)[:4]))}.",
            "Return one of its parts, such as the training split.",
        )
    if isinstance(dataset, tuple):
        return (
            f"returns a tuple of {len(dataset)} parts.",
            "Return one data set, for example `torch.utils.data.TensorDataset(x, y)`.",
        )
    if is_stream(dataset):
        if not hasattr(dataset, "__iter__"):
            return f"returns a {kind}, not a data set.", "Return a torch Dataset."
        if hasattr(dataset, "__next__"):
            fix = "Return an IterableDataset whose `__iter__` begins anew each time."
            return f"returns a {kind}, which can be read once only.", fix
        return None
    if not hasattr(dataset, "__len__"):
        return f"returns a {kind} without `__len__`.", "Define `__len__` on the data set."
    return None


def _refuse_empty(hooks: Hooks, hook: str, function: object, size: int) -> None:
    if size == 0:
        raise hooks.reject(
            hook,
            f"{hook} returns a data set without samples.",
            "Check the paths and filters that it reads with.",
            function=function,
        )
