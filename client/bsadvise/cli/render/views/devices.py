"""Devices: memory, and who holds it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from bsadvise.cli.render.views.layout import table_of
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.units import format_bytes


def devices_view(devices: Sequence[Device]) -> RenderableType:
    """Return devices for a person."""
    rows = [
        (
            _selector(device),
            device.name,
            format_bytes(device.total_bytes),
            "-" if device.free_bytes is None else format_bytes(device.free_bytes),
            str(len(device.processes)),
            _power(device),
            "-" if device.utilisation is None else f"{device.utilisation:.0%}",
            device.device_id,
        )
        for device in devices
    ]
    head = ("device", "name", "memory", "free", "processes", "power", "busy", "id")
    return table_of(head, rows, figures=head[2:-1])


def _power(device: Device) -> str:
    if device.power_w is None:
        return "-"
    limit = "" if device.power_limit_w is None else f" of {device.power_limit_w:.0f}"
    return f"{device.power_w:.0f}{limit} W"


def _selector(device: Device) -> str:
    if device.kind is DeviceKind.CPU:
        return "cpu"
    return "-" if device.index is None else f"cuda:{device.index}"
