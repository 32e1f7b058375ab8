"""What must hold of an answer that crosses into the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bsadvise.model.advice import (
    Advice,
    Interval,
)

from advisor.domain.validation.quantities import above, at_least


def _check_interval(value: Interval) -> None:
    if not value.low <= value.high:
        raise ValueError(f"low must not exceed high: {value.low} > {value.high}")


def _check_advice(value: Advice) -> None:
    at_least("micro_batch_size", value.micro_batch_size, 1)
    at_least("accumulation_steps", value.accumulation_steps, 1)
    at_least("world_size", value.world_size, 1)
    above("learning_rate", value.learning_rate, 0)
    at_least("dataset_size", value.dataset_size, 1)
    product = value.micro_batch_size * value.accumulation_steps * value.world_size
    if product != value.effective_batch_size:
        raise ValueError(f"b·a·W is {product}, not {value.effective_batch_size}")
    if value.micro_batch_size > value.max_micro_batch_size:
        raise ValueError("micro_batch_size exceeds max_micro_batch_size")


CHECKS: Mapping[type, Callable[[Any], None]] = {
    Interval: _check_interval,
    Advice: _check_advice,
}
"""By class, what raises ValueError for a value that cannot be."""
