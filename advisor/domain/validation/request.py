"""What must hold of a request that crosses into the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bsadvise.model.request import (
    AdviceRequest,
    Source,
)

from advisor.domain.validation.quantities import above, at_least


def _check_source(value: Source) -> None:
    if len(value.digest) != 64 or set(value.digest) - set("0123456789abcdef"):
        raise ValueError(f"digest must be 64 lower-case hex digits, not {value.digest!r}")
    if not value.entry_path.endswith(".py"):
        raise ValueError(f"entry_path must name a .py file, not {value.entry_path!r}")


def _check_advice_request(value: AdviceRequest) -> None:
    above("memory_limit_bytes", value.memory_limit_bytes, 0)
    at_least("margin_bytes", value.margin_bytes, 0)
    at_least("world_size", value.world_size, 1)
    at_least("effective_batch_size", value.effective_batch_size, 1)
    above("budget_s", value.budget_s, 0)
    above("budget_share", value.budget_share, 0)
    at_least("max_trials", value.max_trials, 0)
    at_least("seed", value.seed, 0)
    at_least("device_hour_price", value.device_hour_price, 0)


CHECKS: Mapping[type, Callable[[Any], None]] = {
    Source: _check_source,
    AdviceRequest: _check_advice_request,
}
"""By class, what raises ValueError for a value that cannot be."""
