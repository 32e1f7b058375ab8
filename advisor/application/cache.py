"""When two requests have the same answer, and when an old answer may still be given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

from bsadvise.model.advice import Advice
from bsadvise.model.device import Device
from bsadvise.model.recommendation import Recommendation
from bsadvise.model.request import AdviceRequest
from bsadvise.wire.plain import to_plain

from advisor.application.sharing import SharingPolicy
from advisor.application.versions import Versions
from advisor.planning.evidence.budget import memory_budget
from advisor.planning.tuning.evidence import MemoryBudgetTuning
from advisor.ports.store import Store

_BUDGET_GROWTH = 1.1
"""A larger batch is worth a new search once the budget has grown by more than a tenth; free
memory of less moves from one minute to the next."""


Outside = Callable[[AdviceRequest], Mapping[str, object]]


def nothing_outside(_: AdviceRequest) -> Mapping[str, object]:
    """Return what is outside where nothing is."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """Makes the keys under which answers are remembered.

    Attributes:
        versions: What decides an answer in this daemon.
        policy: Who shares answers.
        memory: How the memory that an answer may take is found.
        outside: Describes what decides an answer of a request and lies outside its bundle, in
            values that JSON holds.
    """

    versions: Versions
    policy: SharingPolicy
    memory: MemoryBudgetTuning
    outside: Outside = nothing_outside

    def of(self, principal: str, request: AdviceRequest, device: Device) -> str:
        """Return the key of an answer: equal for requests that must have equal answers.

        A digest of all that decides the answer, and of nothing else: the request but for the
        device's name, its priority and the leave to use the cache; what the device is, but not
        which of several alike or what is free on it; the versions of planner and libraries; what
        lies outside the bundle; and the principal, where answers are not shared.

        Args:
            principal: Whom the answer is for.
            request: The request.
            device: Its device.
        """
        asked = to_plain(request)
        del asked["device"], asked["use_cache"], asked["priority"]
        content = {
            "shared_by": self.policy.cache_partition(principal),
            "request": asked,
            "device": {
                "name": device.name,
                "kind": device.kind.value,
                "present": device.present,
                "total_bytes": device.total_bytes,
                "driver_version": device.driver_version,
            },
            "versions": asdict(self.versions),
            "outside": dict(self.outside(request)),
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def is_reusable(
    advice: Advice, request: AdviceRequest, device: Device, memory: MemoryBudgetTuning
) -> bool:
    """Return whether advice found earlier still holds on a device as it is now.

    It does not when its peak no longer fits in what is free, nor when memory bounded it and
    there is now clearly more of it.
    """
    if device.free_bytes is None:
        return True
    peak_bytes = advice.measured_peak_bytes or advice.predicted_peak_bytes or 0
    if peak_bytes > device.free_bytes:
        return False
    budget_bytes = memory_budget(request, device, memory).budget_bytes
    was_bound_by_memory = 2 * advice.micro_batch_size > advice.max_micro_batch_size
    return not was_bound_by_memory or budget_bytes <= _BUDGET_GROWTH * advice.budget_bytes


async def find_cached_advice(
    store: Store, key: str, request: AdviceRequest, device: Device, memory: MemoryBudgetTuning
) -> Advice | None:
    """Return the remembered answer to a request, marked as such; None when there is none."""
    if not request.use_cache:
        return None
    answered: Recommendation | None = await store.find_answer(key)
    if answered is None or answered.advice is None:
        return None
    if not is_reusable(answered.advice, request, device, memory):
        return None
    return replace(answered.advice, search=replace(answered.advice.search, cache_hit=True))
