"""Valid domain values with defaults; a test names only what it is about.

Each function takes any field of its class as a keyword.
"""

from __future__ import annotations

import itertools
from typing import Any

from bsadvise.model.advice import Advice, Confidence, Evidence, Refusal, RefusalCode
from bsadvise.model.commands import Command, InspectTask, RunStep
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.measurements import Fault, FaultCode, Measurement, Outcome, StepRun
from bsadvise.model.observation import (
    BatchSource,
    Observation,
    ObservationEnd,
    Reference,
    TrainingLoop,
)
from bsadvise.model.recommendation import Recommendation, State
from bsadvise.model.request import AdviceRequest, Source
from bsadvise.model.task import OptimizerFamily, OptimizerProfile, TaskProfile
from bsadvise.version import __version__

NOW_S = 1_700_000_000.0
GIB = 1 << 30

_numbers = itertools.count(1)


def a_source(**changes: Any) -> Source:
    """Return a source whose digest belongs to no bundle."""
    defaults: dict[str, Any] = {"digest": "ab" * 32, "entry_path": "model.py"}
    return Source(**defaults | changes)


def a_request(**changes: Any) -> AdviceRequest:
    """Return a request for advice on the CPU."""
    defaults: dict[str, Any] = {"source": a_source(), "device": "cpu"}
    return AdviceRequest(**defaults | changes)


def a_device(**changes: Any) -> Device:
    """Return a CPU with 16 GiB, half of it free."""
    defaults: dict[str, Any] = {
        "device_id": "cpu",
        "name": "A CPU",
        "kind": DeviceKind.CPU,
        "present": True,
        "total_bytes": 16 * GIB,
        "free_bytes": 8 * GIB,
    }
    return Device(**defaults | changes)


def a_gpu(index: int = 0, **changes: Any) -> Device:
    """Return card number ``index`` of a machine, with 80 GiB."""
    defaults: dict[str, Any] = {
        "device_id": f"GPU-00000000-0000-0000-0000-{index:012}",
        "name": "A GPU",
        "kind": DeviceKind.CUDA,
        "present": True,
        "total_bytes": 80 * GIB,
        "free_bytes": 79 * GIB,
        "index": index,
        "driver_version": "570.00",
    }
    return Device(**defaults | changes)


def a_recommendation(**changes: Any) -> Recommendation:
    """Return a queued recommendation with ids that no other call has given."""
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "recommendation_id": f"recommendation-{number}",
        "request_id": f"request-{number}",
        "request": a_request(),
        "device": a_device(),
        "fingerprint": "a-fingerprint",
        "state": State.QUEUED,
        "created_at_s": NOW_S,
        "updated_at_s": NOW_S,
        "planner_version": __version__,
    }
    return Recommendation(**defaults | changes)


def an_optimizer(**changes: Any) -> OptimizerProfile:
    """Return plain AdamW."""
    defaults: dict[str, Any] = {
        "optimizer_name": "AdamW",
        "family": OptimizerFamily.ADAM,
        "default_learning_rate": 1e-3,
        "weight_decay": 0.01,
        "betas": (0.9, 0.999),
        "epsilon": 1e-8,
    }
    return OptimizerProfile(**defaults | changes)


def a_profile(**changes: Any) -> TaskProfile:
    """Return a small model on a map-style data set of 60,000 samples."""
    defaults: dict[str, Any] = {
        "model_name": "Net",
        "parameter_count": 1_000_000,
        "trainable_parameter_count": 1_000_000,
        "parameter_bytes": 4_000_000,
        "buffer_bytes": 0,
        "batch_norm_layer_count": 0,
        "optimizer": an_optimizer(),
        "dataset_size": 60_000,
        "evaluation_size": 1_000,
        "sample_shapes": "(1, 28, 28), ()",
        "reference_batch_size": 64,
        "reference_learning_rate": 1e-3,
    }
    return TaskProfile(**defaults | changes)


def a_measurement(
    command: Command | None = None, outcome: Outcome | None = None, *, wall_s: float = 0.5
) -> Measurement:
    """Return an entry of a log: a step of eight samples that ran, unless told otherwise."""
    return Measurement(
        command=command or RunStep(time_limit_s=30.0, micro_batch_size=8),
        outcome=outcome or StepRun(peak_bytes=123_456_789),
        wall_s=wall_s,
    )


def an_inspection(**changes: Any) -> Measurement:
    """Return the first entry of a log: the task's profile, with ``changes`` made to it."""
    return a_measurement(InspectTask(time_limit_s=30.0), a_profile(**changes))


def a_reference(**changes: Any) -> Reference:
    """Return a script's own setting: SGD at 0.1 on batches of 128."""
    defaults: dict[str, Any] = {
        "loop": TrainingLoop.SCRIPT,
        "batch_size": 128,
        "micro_batch_size": 128,
        "accumulation_steps": 1,
        "optimizer_name": "SGD",
        "learning_rate": 0.1,
        "dataset_size": 60_000,
    }
    return Reference(**defaults | changes)


def an_observation(**changes: Any) -> Observation:
    """Return what was seen of a script that trains as usual."""
    defaults: dict[str, Any] = {
        "end": ObservationEnd.ENOUGH_STEPS,
        "step_count": 20,
        "backward_count": 20,
        "batch_source": BatchSource.LOADER,
        "optimizer_name": "SGD",
        "reference": a_reference(),
    }
    return Observation(**defaults | changes)


def an_advice(**changes: Any) -> Advice:
    """Return verified advice of 32·2·1 = 64."""
    defaults: dict[str, Any] = {
        "micro_batch_size": 32,
        "max_micro_batch_size": 128,
        "accumulation_steps": 2,
        "world_size": 1,
        "effective_batch_size": 64,
        "learning_rate": 1e-3,
        "lr_rule": "square root",
        "lr_evidence": Evidence.MEASURED,
        "precision": "fp32",
        "device": "A CPU",
        "verified": True,
        "budget_bytes": 8 * GIB,
        "confidence": Confidence.MEDIUM,
        "fingerprint": "a-fingerprint",
    }
    return Advice(**defaults | changes)


def a_fault(**changes: Any) -> Fault:
    """Return an exception in the user's ``build_model``."""
    defaults: dict[str, Any] = {
        "code": FaultCode.USER_EXCEPTION,
        "message": "ValueError: no",
        "hook": "build_model",
        "file": "model.py",
        "line": 3,
    }
    return Fault(**defaults | changes)


def a_refusal(**changes: Any) -> Refusal:
    """Return a refusal for want of memory."""
    defaults: dict[str, Any] = {"code": RefusalCode.NO_FIT, "message": "Not one sample fits."}
    return Refusal(**defaults | changes)
