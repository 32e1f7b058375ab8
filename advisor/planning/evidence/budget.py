"""The two budgets of a request: bytes of memory and seconds of measurement."""

from __future__ import annotations

import re
from dataclasses import replace

from bsadvise.model.commands import Command
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.request import AdviceRequest, EntryKind
from bsadvise.model.task import TaskProfile

from advisor.domain.memory_budget import MemoryBudget
from advisor.planning.evidence.log_view import LogView
from advisor.planning.tuning.evidence import MemoryBudgetTuning

_WORKSPACE_BYTES = 20 << 20
_HOPPER = re.compile(r"\bG?[HB][1-9]00\b|\bH20\b|\bGB10\b|\bRTX 50[5-9]0\b|\bBlackwell\b")
"""Names of cards of compute capability 9, 10 and 12."""
_HOPPER_WORKSPACE_BYTES = 64 << 20


def memory_budget(
    request: AdviceRequest, device: Device, tuning: MemoryBudgetTuning
) -> MemoryBudget:
    """Return what a step may take: the user's limit, or what is free less a margin."""
    if request.memory_limit_bytes is not None:
        return MemoryBudget(
            limit_bytes=request.memory_limit_bytes,
            margin_bytes=request.margin_bytes or 0,
        )
    margin_bytes = request.margin_bytes
    if margin_bytes is None:
        margin_bytes = max(tuning.min_margin_bytes, int(tuning.margin_share * device.total_bytes))
    free_bytes = device.total_bytes if device.free_bytes is None else device.free_bytes
    return MemoryBudget(limit_bytes=free_bytes, margin_bytes=margin_bytes)


def overhead_bytes(
    request: AdviceRequest, device: Device, profile: TaskProfile, tuning: MemoryBudgetTuning
) -> int:
    """Return what a step takes beside its tensors: libraries, and exchanging gradients."""
    if device.kind is DeviceKind.CPU or request.memory_limit_bytes is not None:
        return bucket_bytes(request, profile)
    exchange_bytes = tuning.nccl_bytes if request.world_size > 1 else 0
    return _context_bytes(device, profile, tuning) + exchange_bytes + bucket_bytes(request, profile)


def workspace_bytes(device: Device) -> int:
    """Return what PyTorch reserves for matrix products, beside what a trace follows.

    One workspace in each of the two threads that a step runs in, of 8.1 MiB, from Hopper on of
    32 MiB: its default sizes, in the allocator's segments. Older releases have the smaller one on
    Blackwell, newer ones one workspace alone: less than this.
    """
    if device.kind is DeviceKind.CPU:
        return 0
    return _HOPPER_WORKSPACE_BYTES if _HOPPER.search(device.name) else _WORKSPACE_BYTES


def bucket_bytes(request: AdviceRequest, profile: TaskProfile) -> int:
    """Return what DistributedDataParallel keeps gradients in to exchange them: one copy."""
    return 0 if request.world_size == 1 else gradient_bytes(profile)


def gradient_bytes(profile: TaskProfile) -> int:
    """Return what the gradients of all trainable parameters take."""
    share = profile.trainable_parameter_count / max(1, profile.parameter_count)
    return int(profile.parameter_bytes * share)


def _context_bytes(device: Device, profile: TaskProfile, tuning: MemoryBudgetTuning) -> int:
    if profile.device_free_bytes is None or device.free_bytes is None:
        return tuning.cuda_context_bytes
    return max(0, device.free_bytes - profile.device_free_bytes)


def hook_limit_s(view: LogView) -> float:
    """Return the seconds that loading the task may take."""
    return max(view.tuning.evidence.seconds.min_hook_limit_s, view.request.budget_s)


def script_run_s(view: LogView) -> float:
    """Return the seconds that the user's own script should take to be run; 0 without a script."""
    if view.request.source.entry_kind is EntryKind.MODEL_FILE:
        return 0.0
    return (
        view.script_start_s + view.tuning.evidence.seconds.script_run_share * view.request.budget_s
    )


def wall_left_s(view: LogView) -> float:
    """Return the seconds that all commands to come may take together, at least 0."""
    tuning = view.tuning.evidence.seconds
    limit_s = max(tuning.min_wall_limit_s, tuning.overtime_factor * view.request.budget_s)
    return max(0.0, limit_s - view.elapsed_s)


def within_wall_limit(command: Command, left_s: float) -> Command:
    """Return a command whose time limit is no longer than what all that are left may take.

    A limit that is derived from the request, such as from its batch, has no bound of its own.

    Args:
        command: The command.
        left_s: Seconds, above 0; see ``wall_left_s``.
    """
    return replace(command, time_limit_s=min(command.time_limit_s, left_s))
