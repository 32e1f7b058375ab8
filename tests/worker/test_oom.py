from __future__ import annotations

import errno

import pytest
import torch

from advisor.worker.user.oom import out_of_memory

DEVICE = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    torch.OutOfMemoryError("HIP out of memory. Tried to allocate 2.00 GiB."),
    torch.OutOfMemoryError("XPU out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("HIP error: out of memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB, other allocations: 1 GB)"),
    RuntimeError("Invalid buffer size: 24.00 GiB"),
    RuntimeError("XPU out of memory, please use `empty_cache` to release"),
    RuntimeError(
        "Native API failed. Native API returns: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"
    ),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    torch.AcceleratorError("CUDA error: out of memory"),
]
HOST = [
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4000 bytes."),
    RuntimeError("DataLoader worker (pid 4242) is killed by signal: Killed. "),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]
OTHER = [
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ValueError("CUDA out of memory"),
    FileNotFoundError("memory.txt"),
    KeyError("out of memory"),
    None,
]


@pytest.mark.parametrize("error", DEVICE, ids=str)
def test_a_full_device_is_recognised(error: Exception) -> None:
    found = out_of_memory(error)
    assert found is not None
    assert not found.is_host
    assert found.message == str(error).strip()


@pytest.mark.parametrize("error", HOST, ids=repr)
def test_a_full_machine_is_told_apart(error: Exception) -> None:
    found = out_of_memory(error)
    assert found is not None
    assert found.is_host
    assert found.message


@pytest.mark.parametrize("error", OTHER, ids=repr)
def test_other_errors_are_not_taken_for_it(error: Exception | None) -> None:
    assert out_of_memory(error) is None


def test_the_real_allocator_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    found = out_of_memory(caught.value)
    assert found is not None
    assert found.is_host


def test_what_an_error_was_raised_from_counts() -> None:
    error = ValueError("the layer failed")
    error.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert out_of_memory(error) is not None
    error.__cause__.__cause__ = error  # A loop must not hang it.
    assert out_of_memory(error) is not None
