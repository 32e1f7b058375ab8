"""Recognises running out of memory, in the words of every back end.

No other module asks this question: the words drift between releases and back ends, and a
second list of them would be wrong sooner or later.
"""

from __future__ import annotations

import errno
import re

import torch
from bsadvise.model.measurements import OutOfMemory

_DEVICE_WORDS = re.compile(
    r"(CUDA|HIP|MPS|XPU|cuda|accelerator)[^\n]{0,80}out of memory"
    r"|out of memory[^\n]{0,40}(CUDA|HIP|XPU|device)"
    r"|(CUDA|HIP)[^\n]{0,40}(error 2\b|ErrorMemoryAllocation)"
    r"|UR_RESULT_ERROR_OUT_OF_(DEVICE|RESOURCES)|OUT_OF_DEVICE_MEMORY|PI_ERROR_OUT_OF_RESOURCES"
    # Libraries that find no room for a workspace say so in their own ways.
    r"|CUBLAS_STATUS_ALLOC_FAILED|HIPBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED"
    r"|CUDNN_STATUS_NOT_SUPPORTED"
    r"|Invalid buffer size",  # MPS, for a single tensor larger than it can hold
)
_HOST_WORDS = re.compile(
    r"DefaultCPUAllocator: (can't|not enough)"
    r"|[Cc]annot allocate memory"
    r"|Unable to allocate [\d.]+ \w*B"  # NumPy
    r"|UR_RESULT_ERROR_OUT_OF_HOST_MEMORY"
    r"|DataLoader worker \(pid\(?s?\)? [\d, ]+\) is killed by signal: Killed",
)


def out_of_memory(error: BaseException | None) -> OutOfMemory | None:
    """Return what an exception says of memory; None when it speaks of something else.

    Args:
        error: The exception; those that it was raised from are examined too.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found = _recognise(error)
        if found is not None:
            return found
        error = error.__cause__
    return None


def _recognise(error: BaseException) -> OutOfMemory | None:
    message = str(error).strip() or type(error).__name__
    if isinstance(error, torch.OutOfMemoryError):
        return OutOfMemory(message=message)
    if isinstance(error, MemoryError):
        return OutOfMemory(message=message, is_host=True)
    if isinstance(error, OSError):
        return OutOfMemory(message=message, is_host=True) if error.errno == errno.ENOMEM else None
    if not isinstance(error, RuntimeError):
        return None
    if _HOST_WORDS.search(message):
        return OutOfMemory(message=message, is_host=True)
    return OutOfMemory(message=message) if _DEVICE_WORDS.search(message) else None
