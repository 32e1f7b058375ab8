"""Whether the order in which the samples are stored makes for unrepresentative batches."""

from __future__ import annotations

from collections.abc import Iterator

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import CompareOrders, TimeSteps
from bsadvise.model.measurements import GradientNorms, OrderComparison, StepTimes

from advisor.estimators.data_order import Norms, OrderEffect, estimate_order_effect
from advisor.planning.evidence.budget import gradient_bytes, hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size
from advisor.planning.memory.memory_model import MemoryModel


def next_order_comparison(view: LogView) -> CompareOrders | None:
    """Return the comparison of stored and shuffled batches; None when it is done or takes too long.

    Whatever comes of it, it is not made again, and nothing but a caveat depends on it.
    """
    if not _is_of_use(view) or list(view.entries(CompareOrders)):
        return None
    tuning = view.tuning.data.order
    size = _largest_size(view)
    while size >= tuning.min_batch_size:
        if (command := _comparison(view, size, tuning.max_budget_share)) is not None:
            return command
        size //= 2
    if view.request.budget_s < tuning.least_size_min_budget_s:
        return None
    return _comparison(view, tuning.min_batch_size, tuning.least_size_budget_share)


def _comparison(view: LogView, size: int, budget_share: float) -> CompareOrders | None:
    """Return a comparison of batches of ``size``; None where it takes too long or does not fit."""
    tuning = view.tuning.data.order
    limit_s = min(tuning.max_s, budget_share * view.request.budget_s)
    left_s = limit_s - _expected_s(view, size)
    if left_s < 0 or size > _largest_size(view) or not _fits(view, size):
        return None
    return CompareOrders(
        batch_size=size,
        batch_count=tuning.batch_count,
        shuffle_count=tuning.shuffle_count,
        most_read_samples=_readable_samples(view, size * tuning.batch_count, left_s),
        time_limit_s=hook_limit_s(view) + view.tuning.evidence.seconds.limit_factor * limit_s,
    )


def order_effect(view: LogView) -> OrderEffect | None:
    """Return what the stored order does to batches; None when it was not measured."""
    for _, comparison in view.figures(CompareOrders, OrderComparison):
        stored, shuffled = comparison.stored, comparison.shuffled
        if stored is not None and shuffled is not None:
            return estimate_order_effect(
                stored.small_batch_size,
                stored.big_batch_size // stored.small_batch_size,
                _norms(stored)[0],
                _norms(shuffled),
                tuning=view.tuning.data.order.effect,
            )
    return None


def about_order(view: LogView, batch_size: int) -> Iterator[Caveat]:
    """Yield what to know of the stored order, for a batch of ``batch_size``."""
    effect = order_effect(view)
    if effect is None or not effect.is_unrepresentative:
        return
    worth = max(1, round(effect.worth(batch_size)))
    finding = (
        f"{batch_size:,} in a row are no more informative about the gradient than about {worth:,} "
        "drawn at random."
    )
    if view.profile.is_stream or view.profile.dataset_size is None:
        yield Caveat(
            code=CaveatCode.STORED_ORDER_NOT_RANDOM,
            text=f"The stream's samples do not come in random order: {finding} The trials saw "
            "them so: "
            "shuffle the stream (its shards, or through a large buffer) and ask again before "
            "trusting the noise scale.",
        )
    else:
        yield Caveat(
            code=CaveatCode.STORED_ORDER_NOT_RANDOM,
            text=f"The samples are not stored in random order: {finding} The trials shuffled "
            "them, and "
            "so must your training (shuffle=True).",
        )


def _is_of_use(view: LogView) -> bool:
    request, profile = view.request, view.profile
    latest_s = view.tuning.data.order.latest_share * request.budget_s
    return (
        view.device.present
        and view.step_times is not None
        and not profile.is_synthetic
        and profile.evaluation_size > 0
        and request.max_trials != 0
        and view.elapsed_s - view.loading_s() <= latest_s
    )


def _largest_size(view: LogView) -> int:
    tuning = view.tuning.data.order
    size = min(tuning.max_batch_size, max(reference_batch_size(view), tuning.min_batch_size))
    if view.profile.dataset_size is not None:
        # A tenth may be held out.
        size = min(size, int(0.9 * view.profile.dataset_size) // tuning.batch_count)
    return size


def _fits(view: LogView, size: int) -> bool:
    """Return whether a pass fits beside the gradients of those before."""
    model = view.model(MemoryModel)
    needed_bytes = model.predicted_peak_bytes(size) + gradient_bytes(view.profile)
    return size <= model.max_micro_batch_size and needed_bytes <= model.budget_bytes


def _expected_s(view: LogView, size: int) -> float:
    """Return the seconds that a comparison takes: building the model, loading, gradients."""
    if view.step_times is None:
        raise LookupError("no step was timed")
    building_s = min(
        max(0.0, entry.wall_s - sum(entry.outcome.step_times_s))
        for _, entry in view.entries(TimeSteps)
        if isinstance(entry.outcome, StepTimes)
    )
    tuning = view.tuning.data.order
    gradients_s = (
        tuning.batch_count * (1 + tuning.shuffle_count) * view.step_times.step_time_s(size)
    )
    return building_s + tuning.batch_count * size * _reading_s(view) + gradients_s


def _readable_samples(view: LogView, compared: int, left_s: float) -> int:
    """Return how far a stream may be read in ``left_s`` beyond the samples that are compared."""
    reading_s, most = _reading_s(view), view.tuning.data.order.max_read_factor * compared
    return min(compared + int(left_s / reading_s), most) if reading_s else most


def _reading_s(view: LogView) -> float:
    """Return the seconds in which one process reads a sample."""
    return (view.load_time_per_sample_s or 0.0) * max(1, view.profile.num_workers)


def _norms(norms: GradientNorms) -> list[Norms]:
    return list(zip(norms.small_squared_norms, norms.big_squared_norms, strict=True))
