"""The checks of all values in one place."""

from __future__ import annotations

from advisor.domain.validation import advice, commands, device, horizon, measurements, request, task

_CHECKS = {
    **advice.CHECKS,
    **commands.CHECKS,
    **device.CHECKS,
    **horizon.CHECKS,
    **measurements.CHECKS,
    **request.CHECKS,
    **task.CHECKS,
}


def check(value: object) -> None:
    """Raise ValueError when a value cannot be what its class says."""
    checker = _CHECKS.get(type(value))
    if checker is not None:
        checker(value)
