"""What it means that a script has ended, or cannot be driven."""

from __future__ import annotations

import re

import torch
from bsadvise.model.measurements import Fault, FaultCode

from advisor.worker.entries.own_loop.learning import LoopNotDriven
from advisor.worker.entries.own_loop.request import Request
from advisor.worker.scripts.running import Ending, EndingKind

_NOT_FINITE = re.compile(
    r"\b(nan|inf|infinite|infinity|(non-?)?finite|diverge[ds]?)\b", re.IGNORECASE
)


def raise_out_of_memory(ending: Ending) -> None:
    """Raise what ended a script, if that was running out of memory.

    Raises:
        torch.OutOfMemoryError: It was the device's.
        MemoryError: It was the host's.
    """
    if ending.memory is not None:
        kind = MemoryError if ending.memory.is_host else torch.OutOfMemoryError
        raise kind(ending.memory.message) from None


def is_divergence(ending: Ending, request: Request) -> bool:
    """Return whether a script that has stepped before ended since its loss was not finite."""
    if any(not bool(torch.isfinite(loss)) for loss in request.losses):
        return True
    # Many look at the loss before its backward pass, and say so by what they raise or exit with.
    said = ending.fault is not None and _NOT_FINITE.search(ending.fault.message)
    return bool(said) or (ending.kind is EndingKind.EXITED and ending.exit_code != 0)


def not_driven(reason: LoopNotDriven) -> Fault:
    """Return the fault of a loop that cannot be driven."""
    return Fault(
        code=FaultCode.USER_EXCEPTION,
        message=f"The script's training loop cannot be driven: {reason}.",
        fix="Write a model file for it: a `build_model()` and a `build_dataset()` that return what "
        "the script makes.",
    )


def ended_early() -> Fault:
    """Return the fault of a script that trains too little to be driven."""
    return Fault(
        code=FaultCode.USER_EXCEPTION,
        message="The script ends before it has taken an optimizer step.",
        fix="Let it train for more epochs or steps.",
    )
