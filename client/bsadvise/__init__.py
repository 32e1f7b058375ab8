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
    from bsadvise.aio import AsyncClient
    from bsadvise.client import Client
    from bsadvise.model.advice import (
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
    from bsadvise.model.device import Device
    from bsadvise.model.errors import (
        AccessDenied,
        BsadviseError,
        Cancelled,
        DaemonUnreachable,
        InvalidRequest,
        ModelFileError,
        NoFitError,
        NotAuthenticated,
        NotFound,
        QuotaExceeded,
        TimedOut,
    )
    from bsadvise.model.measurements import Measurement
    from bsadvise.model.recommendation import Event, Recommendation, State, Waiting
    from bsadvise.model.request import AdviceOptions, Objective, Priority
    from bsadvise.model.token import Scope, Token
    from bsadvise.transport.credentials import Credentials

_MODULES = {
    "model.advice": (
        "Advice", "Alternative", "BatchStage", "Confidence", "Evidence", "Interval",
        "MemoryEstimate", "Refusal", "Search",
    ),
    "aio": ("AsyncClient",),
    "client": ("Client",),
    "transport.credentials": ("Credentials",),
    "model.device": ("Device",),
    "model.errors": (
        "AccessDenied", "BsadviseError", "Cancelled", "DaemonUnreachable", "InvalidRequest",
        "ModelFileError", "NoFitError", "NotAuthenticated", "NotFound", "QuotaExceeded",
        "TimedOut",
    ),
    "model.measurements": ("Measurement",),
    "model.recommendation": ("Event", "Recommendation", "State", "Waiting"),
    "model.request": ("AdviceOptions", "Objective", "Priority"),
    "model.token": ("Scope", "Token"),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AccessDenied",
    "Advice",
    "AdviceOptions",
    "Alternative",
    "AsyncClient",
    "BatchStage",
    "BsadviseError",
    "Cancelled",
    "Client",
    "Confidence",
    "Credentials",
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
    "NotAuthenticated",
    "NotFound",
    "Objective",
    "Priority",
    "QuotaExceeded",
    "Recommendation",
    "Refusal",
    "Scope",
    "Search",
    "State",
    "TimedOut",
    "Token",
    "Waiting",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"bsadvise.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
