"""Puts together what was seen of a script's training."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from bsadvise.model.observation import (
    BatchSource,
    Observation,
    ObservationEnd,
    Place,
    PlaceKind,
    Quantity,
    Reference,
    TrainingLoop,
)
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import BatchSampler, default_collate, default_convert

from advisor.domain.limits import BATCH_SIZE, DATASET_SIZE, LEARNING_RATE
from advisor.worker.scripts.circumstances import Circumstances
from advisor.worker.scripts.handler import AnyLoader, TrainerKind
from advisor.worker.scripts.observer import Observer, SeenLoader, SeenOptimizer
from advisor.worker.scripts.places import is_number

_LOOPS = {
    None: TrainingLoop.SCRIPT,
    TrainerKind.LIGHTNING: TrainingLoop.LIGHTNING,
    TrainerKind.TRANSFORMERS: TrainingLoop.TRANSFORMERS,
}
_PRECISIONS = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}

_PLAIN_BATCH_SAMPLERS = ("BatchSampler", "BatchSamplerShard", "DefaultBatchSampler")
"""Those of torch, accelerate and sentence-transformers that take samples as they come."""

_LENGTHS = ("total_steps", "T_max", "total_iters")
"""What schedules call the steps that they were made for."""


def observation_of(
    observer: Observer, circumstances: Circumstances, end: ObservationEnd, place: str = ""
) -> Observation:
    """Return what was seen.

    Args:
        observer: What watched the training.
        circumstances: What was noted beside it.
        end: Why the observation ended.
        place: Where the script was when the time was over.
    """
    source = max(observer.loaders, key=lambda seen: seen.step_count, default=None)
    if source is not None and source.step_count == 0:
        source = None
    return Observation(
        end=end,
        step_count=observer.step_count,
        backward_count=observer.backward_count,
        batch_source=_batch_source(observer, source) if observer.step_count else None,
        has_closure=observer.has_closure,
        has_processes=circumstances.has_processes,
        simulator=circumstances.simulator,
        row_count=observer.row_count,
        place=place,
        reference=_reference(observer, circumstances, source) if source else None,
        start_s=observer.start_s,
        optimizer_name=type(_main(observer).optimizer).__name__ if observer.optimizers else "",
    )


def _main(observer: Observer) -> SeenOptimizer:
    """Return the optimizer that took the most steps.

    Where several took as many, the first is the one that the others were made to go with.
    """
    return max(observer.optimizers, key=lambda seen: len(seen.batch_counts))


def _batch_source(observer: Observer, source: SeenLoader | None) -> BatchSource:
    if source is None:
        same = observer.row_count is not None
        return BatchSource.SAME_TENSORS if same else BatchSource.OTHER
    is_plain = batch_size_of(source.loader) is not None
    return BatchSource.LOADER if is_plain else BatchSource.BATCH_SAMPLER


def batch_size_of(loader: AnyLoader) -> int | None:
    """Return the samples of a loader's batch; None where it is not for the loader to say."""
    if loader.batch_size is not None:
        return loader.batch_size
    sampler = loader.batch_sampler
    if isinstance(sampler, BatchSampler) and type(sampler).__name__ in _PLAIN_BATCH_SAMPLERS:
        return int(sampler.batch_size)
    return None


def _reference(
    observer: Observer, circumstances: Circumstances, source: SeenLoader
) -> Reference | None:
    loader = source.loader
    micro_batch_size = batch_size_of(loader)
    if micro_batch_size is None or not BATCH_SIZE.holds(micro_batch_size):
        return None
    main = _main(observer)
    accumulation_steps = _most_frequent(main.batch_counts)
    schedule = _schedule_of(main.optimizer, circumstances.schedules)
    rates = [0.0 if rate is None else rate for rate in _peak_rates(main, schedule)]
    has_rate = bool(rates) and LEARNING_RATE.holds(rates[0])
    return Reference(
        loop=_LOOPS[observer.trainer],
        batch_size=micro_batch_size * accumulation_steps,
        micro_batch_size=micro_batch_size,
        accumulation_steps=accumulation_steps,
        learning_rate=rates[0] if has_rate else None,
        group_learning_rates=tuple(rates) if has_rate else (),
        first_learning_rate=main.first_rates[0] if has_rate else None,
        optimizer_name=type(main.optimizer).__name__,
        optimizer_count=sum(seen.overlaps(main) for seen in observer.optimizers),
        schedule_name="" if schedule is None else type(schedule).__name__,
        schedule_length=None if schedule is None else _length_of(schedule),
        is_scheduled_by_step=schedule is not None and _is_by_step(schedule, main),
        dataset_size=_dataset_size(loader),
        collate_name=_name_of_collate(loader.collate_fn),
        sampler_name=_name_of_sampler(loader),
        loader_workers=loader.num_workers,
        precision=_precision(main.optimizer, circumstances.autocast_dtype),
        is_compiled=circumstances.is_compiled,
        loader_place=source.place,
        loader_number=source.number,
        where=(
            *_flags(circumstances, Quantity.MICRO_BATCH_SIZE, micro_batch_size),
            *_flags(circumstances, Quantity.LEARNING_RATE, rates[0] if has_rate else None),
            *_flags(
                circumstances,
                Quantity.BATCH_SIZE,
                micro_batch_size * accumulation_steps if accumulation_steps > 1 else None,
            ),
        ),
    )


def _flags(
    circumstances: Circumstances, quantity: Quantity, value: float | None
) -> Iterator[Place]:
    """Yield the flags of the script's parsers that came to a value."""
    if value is None:
        return
    for flag in dict.fromkeys(f for f, said in circumstances.options if is_number(said, value)):
        yield Place(quantity=quantity, kind=PlaceKind.FLAG, name=flag)


def _most_frequent(batch_counts: Sequence[int]) -> int:
    """Return the batches of most steps: first ones may be looked at, last groups be shorter."""
    counts = Counter(count for count in batch_counts if count > 0)
    return max(counts, key=lambda count: (counts[count], -count), default=1)


def _schedule_of(
    optimizer: torch.optim.Optimizer, schedules: Iterable[LRScheduler]
) -> LRScheduler | None:
    """Return the schedule of an optimizer: the last that was made is the one around the others."""
    of_it = [one for one in schedules if _innermost(getattr(one, "optimizer", None)) is optimizer]
    return of_it[-1] if of_it else None


def _innermost(optimizer: Any) -> Any:
    """Return what accelerate and others have wrapped."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def _peak_rates(seen: SeenOptimizer, schedule: LRScheduler | None) -> list[float | None]:
    """Return the highest rate that each parameter group's schedule is to come to.

    A schedule keeps it in the group; of a rate that the script sets by hand, what the optimizer
    was made with is the best that is known.
    """
    made_with = seen.optimizer.defaults.get("lr")
    by_hand = schedule is None and seen.has_changing_rate and made_with is not None
    return [
        _number(group.get("max_lr", group.get("initial_lr", made_with if by_hand else first)))
        for group, first in zip(seen.optimizer.param_groups, seen.first_rates, strict=False)
    ]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _length_of(schedule: LRScheduler) -> int | None:
    lengths = [getattr(schedule, name, None) for name in _LENGTHS]
    lengths += [
        function.keywords.get("num_training_steps")  # Transformers' schedules.
        for function in getattr(schedule, "lr_lambdas", ())
        if isinstance(function, functools.partial)
    ]
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def _is_by_step(schedule: LRScheduler, seen: SeenOptimizer) -> bool:
    """Return whether it was advanced with each step.

    It counts from 1, and the script was stopped before it could be advanced after the last step.
    """
    advanced = getattr(schedule, "_step_count", 1) - 1
    return advanced >= max(1, len(seen.batch_counts) - 1)


def _dataset_size(loader: AnyLoader) -> int | None:
    try:
        size = len(loader.dataset)  # type: ignore[arg-type] # streams may have none
    except Exception:  # noqa: BLE001 - it is user code, and may raise anything
        return None
    return size if DATASET_SIZE.holds(size) else None


def _name_of_collate(collate: Callable[..., Any]) -> str:
    if collate in (default_collate, default_convert):
        return ""
    return getattr(collate, "__qualname__", type(collate).__name__)


def _name_of_sampler(loader: AnyLoader) -> str:
    # Whoever gives a batch sampler leaves the loader's own sampler as it is; accelerate's is around
    # the one that was given.
    batches = getattr(loader.batch_sampler, "batch_sampler", loader.batch_sampler)
    name = type(getattr(batches, "sampler", loader.sampler)).__name__
    return "" if name == "_InfiniteConstantSampler" else name


def _precision(optimizer: torch.optim.Optimizer, autocast_dtype: torch.dtype | None) -> str:
    if autocast_dtype in _PRECISIONS:
        return _PRECISIONS[autocast_dtype]
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    first = next(parameters, None)
    return "fp32" if first is None else _PRECISIONS.get(first.dtype, "fp32")
