"""Devices: memory, and who holds it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.units import format_bytes


def devices_view(devices: Sequence[Device]) -> RenderableType:
    """Return devices for a person, two lines each: names and ids are long."""
    return Group(*(line for device in devices for line in _lines(device)))


def _lines(device: Device) -> tuple[RenderableType, RenderableType]:
    name = Text.assemble((f"{_selector(device):<6}", "bold"), f"  {device.name}")
    if device.device_id != _selector(device):
        name.append(f"  {device.device_id}")
    facts = [format_bytes(device.total_bytes)]
    if device.free_bytes is not None:
        facts.append(f"{format_bytes(device.free_bytes)} free")
    facts.append(f"{len(device.processes)} process(es)")
    if device.power_w is not None:
        limit = "" if device.power_limit_w is None else f" of {device.power_limit_w:.0f}"
        facts.append(f"{device.power_w:.0f}{limit} W")
    if device.utilisation is not None:
        facts.append(f"{device.utilisation:.0%} busy")
    return name, Padding.indent(Text(", ".join(facts)), 2)


def _selector(device: Device) -> str:
    if device.kind is DeviceKind.CPU:
        return "cpu"
    return "-" if device.index is None else f"cuda:{device.index}"
