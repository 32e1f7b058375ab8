"""Client of the bsadvise batch-size advisor.

    import bsadvise

    with bsadvise.Client() as client:
        advice = client.recommend("model.py", memory_limit_bytes=16 << 30)
        print(advice.micro_batch_size, advice.accumulation_steps, advice.learning_rate)

Names are imported when they are first used: the daemon's worker reads ``bsadvise.v1`` and must
not find itself with gRPC for that.

What a call takes, returns, holds or raises is here, but for one: ``TimedOut`` is the error, and the
outcome of a command of that name is ``bsadvise.model.measurements.TimedOut``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bsadvise.version import __version__

if TYPE_CHECKING:
    from bsadvise.aio import AsyncClient
    from bsadvise.client import Client
    from bsadvise.model.advice import (
        Advice,
        Alternative,
        BatchStage,
        Companion,
        Confidence,
        Evidence,
        GradientNormStatistics,
        Interval,
        LeverGain,
        MemoryEstimate,
        MemoryPoint,
        Refusal,
        RefusalCode,
        RuleOfThumb,
        ScriptCheck,
        Search,
    )
    from bsadvise.model.caveats import Caveat
    from bsadvise.model.commands import (
        CompareOrders,
        Evaluate,
        InspectTask,
        Lever,
        ObserveScript,
        RangeTest,
        RecallAnswers,
        RunScript,
        RunStep,
        TimeLoader,
        TimeSteps,
        TraceMemory,
        Train,
        TrialOrigin,
        Verify,
    )
    from bsadvise.model.device import Device, DeviceKind, DeviceProcess
    from bsadvise.model.errors import (
        AccessDenied,
        AddressUnusable,
        ApplyingFailed,
        BsadviseError,
        Cancelled,
        DaemonError,
        DaemonFailed,
        DaemonUnreachable,
        DeviceUnavailable,
        ExportFailed,
        FieldViolation,
        Interrupted,
        InvalidRequest,
        LibraryMissing,
        ModelFileError,
        NoFitError,
        NotAuthenticated,
        NotFound,
        NothingToSay,
        QuotaExceeded,
        RequestIdReused,
        ServerMissing,
        SourceUnusable,
        StillRunning,
        StorageUnusable,
        TimedOut,
        UnexpectedReply,
    )
    from bsadvise.model.explanation import (
        BestRate,
        ExplainedTraining,
        ExplainedTrial,
        Explanation,
        Findings,
        Fitted,
        HorizonExplanation,
        LossCurve,
        MemoryExplanation,
        NoisePoint,
        ScalingFit,
        StepTimePoint,
    )
    from bsadvise.model.horizon import (
        FinalLoss,
        LearningRateSchedule,
        LengthUnit,
        ScheduleShape,
        StepSchedule,
        TrainingHorizon,
        TrainingLength,
    )
    from bsadvise.model.measurements import (
        Evaluation,
        Failed,
        Fault,
        FaultCode,
        GradientNorms,
        LoaderTimes,
        LogEstimate,
        Measurement,
        MemoryParts,
        MemoryTrace,
        OrderComparison,
        OutOfMemory,
        Prior,
        RangeRun,
        StepRun,
        StepTimes,
        TrainRun,
        Verification,
    )
    from bsadvise.model.observation import (
        BatchSource,
        Observation,
        ObservationEnd,
        Place,
        PlacedValue,
        PlaceKind,
        Quantity,
        Reference,
        ScriptRun,
        TrainingLoop,
    )
    from bsadvise.model.recommendation import (
        CommandStarted,
        Event,
        Measured,
        Recommendation,
        State,
        StateChanged,
        Waiting,
    )
    from bsadvise.model.request import (
        AdviceOptions,
        AdviceRequest,
        EntryKind,
        Objective,
        Priority,
        PriorScope,
        Source,
    )
    from bsadvise.model.task import (
        BatchSemantics,
        OptimizerFamily,
        OptimizerProfile,
        TaskProfile,
    )
    from bsadvise.model.token import Scope, Token
    from bsadvise.model.values import Unknown
    from bsadvise.transport.credentials import Credentials

_MODULES = {
    "aio": ("AsyncClient",),
    "client": ("Client",),
    "model.advice": (
        "Advice", "Alternative", "BatchStage", "Companion", "Confidence", "Evidence",
        "GradientNormStatistics", "Interval", "LeverGain", "MemoryEstimate", "MemoryPoint",
        "Refusal", "RefusalCode", "RuleOfThumb", "ScriptCheck", "Search",
    ),
    "model.caveats": ("Caveat",),
    "model.commands": (
        "CompareOrders", "Evaluate", "InspectTask", "Lever", "ObserveScript", "RangeTest",
        "RecallAnswers", "RunScript", "RunStep", "TimeLoader", "TimeSteps", "TraceMemory",
        "Train", "TrialOrigin", "Verify",
    ),
    "model.device": ("Device", "DeviceKind", "DeviceProcess"),
    "model.errors": (
        "AccessDenied", "AddressUnusable", "ApplyingFailed", "BsadviseError", "Cancelled",
        "DaemonError", "DaemonFailed", "DaemonUnreachable", "DeviceUnavailable", "ExportFailed",
        "FieldViolation", "Interrupted", "InvalidRequest", "LibraryMissing", "ModelFileError",
        "NoFitError", "NotAuthenticated", "NotFound", "NothingToSay", "QuotaExceeded",
        "RequestIdReused", "ServerMissing", "SourceUnusable", "StillRunning", "StorageUnusable",
        "TimedOut", "UnexpectedReply",
    ),
    "model.explanation": (
        "BestRate", "ExplainedTrial", "Explanation", "Findings", "Fitted", "LossCurve",
        "ExplainedTraining", "HorizonExplanation", "MemoryExplanation", "NoisePoint", "ScalingFit",
        "StepTimePoint",
    ),
    "model.horizon": (
        "FinalLoss", "LearningRateSchedule", "LengthUnit", "ScheduleShape", "StepSchedule",
        "TrainingHorizon", "TrainingLength",
    ),
    "model.measurements": (
        "Evaluation", "Failed", "Fault", "FaultCode", "GradientNorms", "LoaderTimes",
        "Measurement", "MemoryParts", "MemoryTrace", "OrderComparison", "OutOfMemory",
        "LogEstimate", "Prior", "RangeRun", "StepRun", "StepTimes", "TrainRun", "Verification",
    ),
    "model.observation": (
        "BatchSource", "Observation", "ObservationEnd", "Place", "PlaceKind", "PlacedValue",
        "Quantity", "Reference", "ScriptRun", "TrainingLoop",
    ),
    "model.recommendation": (
        "CommandStarted", "Event", "Measured", "Recommendation", "State", "StateChanged",
        "Waiting",
    ),
    "model.request": (
        "AdviceOptions", "AdviceRequest", "EntryKind", "Objective", "Priority", "PriorScope",
        "Source",
    ),
    "model.task": ("BatchSemantics", "OptimizerFamily", "OptimizerProfile", "TaskProfile"),
    "model.token": ("Scope", "Token"),
    "model.values": ("Unknown",),
    "transport.credentials": ("Credentials",),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AccessDenied",
    "AddressUnusable",
    "Advice",
    "AdviceOptions",
    "AdviceRequest",
    "Alternative",
    "ApplyingFailed",
    "AsyncClient",
    "BatchSemantics",
    "BatchSource",
    "BatchStage",
    "BestRate",
    "BsadviseError",
    "Cancelled",
    "Caveat",
    "Client",
    "CommandStarted",
    "Companion",
    "CompareOrders",
    "Confidence",
    "Credentials",
    "DaemonError",
    "DaemonFailed",
    "DaemonUnreachable",
    "Device",
    "DeviceKind",
    "DeviceProcess",
    "DeviceUnavailable",
    "EntryKind",
    "Evaluate",
    "Evaluation",
    "Event",
    "Evidence",
    "ExplainedTraining",
    "ExplainedTrial",
    "Explanation",
    "ExportFailed",
    "Failed",
    "Fault",
    "FaultCode",
    "FieldViolation",
    "FinalLoss",
    "Findings",
    "Fitted",
    "GradientNormStatistics",
    "GradientNorms",
    "HorizonExplanation",
    "InspectTask",
    "Interrupted",
    "Interval",
    "InvalidRequest",
    "LearningRateSchedule",
    "LengthUnit",
    "Lever",
    "LeverGain",
    "LibraryMissing",
    "LoaderTimes",
    "LogEstimate",
    "LossCurve",
    "Measured",
    "Measurement",
    "MemoryEstimate",
    "MemoryExplanation",
    "MemoryParts",
    "MemoryPoint",
    "MemoryTrace",
    "ModelFileError",
    "NoFitError",
    "NoisePoint",
    "NotAuthenticated",
    "NotFound",
    "NothingToSay",
    "Objective",
    "Observation",
    "ObservationEnd",
    "ObserveScript",
    "OptimizerFamily",
    "OptimizerProfile",
    "OrderComparison",
    "OutOfMemory",
    "Place",
    "PlaceKind",
    "PlacedValue",
    "Prior",
    "PriorScope",
    "Priority",
    "Quantity",
    "QuotaExceeded",
    "RangeRun",
    "RangeTest",
    "RecallAnswers",
    "Recommendation",
    "Reference",
    "Refusal",
    "RefusalCode",
    "RequestIdReused",
    "RuleOfThumb",
    "RunScript",
    "RunStep",
    "ScalingFit",
    "ScheduleShape",
    "Scope",
    "ScriptCheck",
    "ScriptRun",
    "Search",
    "ServerMissing",
    "Source",
    "SourceUnusable",
    "State",
    "StateChanged",
    "StepRun",
    "StepSchedule",
    "StepTimePoint",
    "StepTimes",
    "StillRunning",
    "StorageUnusable",
    "TaskProfile",
    "TimeLoader",
    "TimeSteps",
    "TimedOut",
    "Token",
    "TraceMemory",
    "Train",
    "TrainRun",
    "TrainingHorizon",
    "TrainingLength",
    "TrainingLoop",
    "TrialOrigin",
    "UnexpectedReply",
    "Unknown",
    "Verification",
    "Verify",
    "Waiting",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"bsadvise.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
