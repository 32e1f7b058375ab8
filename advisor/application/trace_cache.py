"""Keeps the outcomes of traces for devices that are not attached to this host, for the next one."""

from __future__ import annotations

import json
from collections import OrderedDict

from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import MemoryTrace, Outcome
from bsadvise.model.request import AdviceRequest
from bsadvise.model.task import TaskProfile
from bsadvise.wire.plain import to_plain

_MOST_TASKS = 16
_WITHOUT_BEARING = (
    "device", "memory_limit_bytes", "margin_bytes", "world_size", "effective_batch_size",
    "objective", "target_loss", "budget_s", "max_trials", "use_cache", "priority",
    "device_hour_price", "prior", "train_for", "schedule",
    "budget_share",
)  # fmt: skip


class TraceCache:
    """Outcomes by task and command, of the tasks last asked about.

    A trace for a device that is not attached depends on nothing of it but its kind, and a
    command is complete in itself: of several devices, each needs only the sizes that no other did.
    """

    def __init__(self) -> None:
        self._tasks: OrderedDict[str, dict[Command, Outcome]] = OrderedDict()

    def known(
        self, partition: str | None, request: AdviceRequest, device: Device
    ) -> dict[Command, Outcome]:
        """Return what is known of a request's task, to be read and added to.

        Args:
            partition: Who alone shares it: an outcome is what the code said that one of them
                ran. None where all do.
            request: The request.
            device: Its device.
        """
        if device.present:
            return {}
        asked = {k: v for k, v in to_plain(request).items() if k not in _WITHOUT_BEARING}
        key = json.dumps([partition, device.kind.value, asked], sort_keys=True)
        known = self._tasks.setdefault(key, {})
        self._tasks.move_to_end(key)
        while len(self._tasks) > _MOST_TASKS:
            self._tasks.popitem(last=False)
        return known


def is_lasting(outcome: Outcome) -> bool:
    """Return whether an outcome would be the same again."""
    if isinstance(outcome, MemoryTrace):
        return not outcome.was_run
    return isinstance(outcome, TaskProfile)
