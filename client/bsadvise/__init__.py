"""Client of the bsadvise batch-size advisor.

    import bsadvise

    with bsadvise.Client() as client:
        advice = client.recommend("model.py", memory_limit_bytes=16 << 30)
        print(advice.micro_batch_size, advice.accumulation_steps, advice.learning_rate)

Names are imported when they are first used: the daemon's worker reads ``bsadvise.v1`` and must
not find itself with gRPC for that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bsadvise.advice import (
        Advice,
        Alternative,
        BatchStage,
        Confidence,
        Evidence,
        Interval,
        MemoryEstimate,
        Refusal,
        Search,
    )
    from bsadvise.aio import AsyncClient
    from bsadvise.client import Client
    from bsadvise.device import Device
    from bsadvise.errors import (
        BsadviseError,
        Cancelled,
        DaemonUnreachable,
        InvalidRequest,
        ModelFileError,
        NoFitError,
        NotFound,
        TimedOut,
    )
    from bsadvise.measurements import Measurement
    from bsadvise.recommendation import Event, Recommendation, State
    from bsadvise.request import AdviceOptions, Objective

_MODULES = {
    "advice": (
        "Advice", "Alternative", "BatchStage", "Confidence", "Evidence", "Interval",
        "MemoryEstimate", "Refusal", "Search",
    ),
    "aio": ("AsyncClient",),
    "client": ("Client",),
    "device": ("Device",),
    "errors": (
        "BsadviseError", "Cancelled", "DaemonUnreachable", "InvalidRequest", "ModelFileError",
        "NoFitError", "NotFound", "TimedOut",
    ),
    "measurements": ("Measurement",),
    "recommendation": ("Event", "Recommendation", "State"),
    "request": ("AdviceOptions", "Objective"),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Advice",
    "AdviceOptions",
    "Alternative",
    "AsyncClient",
    "BatchStage",
    "BsadviseError",
    "Cancelled",
    "Client",
    "Confidence",
    "DaemonUnreachable",
    "Device",
    "Event",
    "Evidence",
    "Interval",
    "InvalidRequest",
    "Measurement",
    "MemoryEstimate",
    "ModelFileError",
    "NoFitError",
    "NotFound",
    "Objective",
    "Recommendation",
    "Refusal",
    "Search",
    "State",
    "TimedOut",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"bsadvise.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
