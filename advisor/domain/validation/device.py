"""What must hold of a device that crosses into the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bsadvise.model.device import (
    Device,
)

from advisor.domain.validation.quantities import above, at_least


def _check_device(value: Device) -> None:
    above("total_bytes", value.total_bytes, 0)
    at_least("free_bytes", value.free_bytes, 0)
    at_least("reserved_bytes", value.reserved_bytes, 0)
    at_least("power_w", value.power_w, 0)
    at_least("power_limit_w", value.power_limit_w, 0)
    at_least("utilisation", value.utilisation, 0)


CHECKS: Mapping[type, Callable[[Any], None]] = {
    Device: _check_device,
}
"""By class, what raises ValueError for a value that cannot be."""
