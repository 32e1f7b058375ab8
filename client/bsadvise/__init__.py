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
    from bsadvise.credentials import Credentials
    from bsadvise.device import Device
    from bsadvise.errors import (
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
    from bsadvise.measurements import Measurement
    from bsadvise.recommendation import Event, Recommendation, State, Waiting
    from bsadvise.request import AdviceOptions, Objective, Priority
    from bsadvise.token import Scope, Token

_MODULES = {
    "advice": (
        "Advice", "Alternative", "BatchStage", "Confidence", "Evidence", "Interval",
        "MemoryEstimate", "Refusal", "Search",
    ),
    "aio": ("AsyncClient",),
    "client": ("Client",),
    "credentials": ("Credentials",),
    "device": ("Device",),
    "errors": (
        "AccessDenied", "BsadviseError", "Cancelled", "DaemonUnreachable", "InvalidRequest",
        "ModelFileError", "NoFitError", "NotAuthenticated", "NotFound", "QuotaExceeded",
        "TimedOut",
    ),
    "measurements": ("Measurement",),
    "recommendation": ("Event", "Recommendation", "State", "Waiting"),
    "request": ("AdviceOptions", "Objective", "Priority"),
    "token": ("Scope", "Token"),
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
