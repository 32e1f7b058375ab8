"""The device as torch knows it: where it is, what it holds, when it is idle."""

from __future__ import annotations

import torch
from bsadvise.model.device import Device, DeviceKind
from torch.cuda import (
    empty_cache,
    get_device_properties,
    max_memory_reserved,
    mem_get_info,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
    synchronize,
)


class TorchDevice:
    """The device that a job's tensors live on."""

    def __init__(self, device: Device, memory_limit_bytes: int | None) -> None:
        """Choose the device. Touches nothing yet.

        Args:
            device: The job's device.
            memory_limit_bytes: Bytes that may be taken; None for all there are.
        """
        self.device = device
        self.memory_limit_bytes = memory_limit_bytes
        # A torch for ROCm has its devices, and its allocator, under CUDA's name. The job's is
        # the only one that this process sees.
        self.is_cuda = device.kind is not DeviceKind.CPU
        self.torch_device = torch.device("cuda:0" if self._runs_on_cuda else "cpu")

    @property
    def _runs_on_cuda(self) -> bool:
        return self.is_cuda and self.device.present

    @property
    def tracked_limit_bytes(self) -> int | None:
        """Live bytes that the allocation tracker enforces; None where the allocator does it."""
        return None if self._runs_on_cuda else self.memory_limit_bytes

    def limit_allocator(self) -> None:
        """Let the device's allocator refuse what would pass the limit."""
        if self._runs_on_cuda and self.memory_limit_bytes is not None:
            total = get_device_properties(self.torch_device).total_memory
            share = memory_fraction(self.memory_limit_bytes, total)
            set_per_process_memory_fraction(share, self.torch_device)

    def synchronise(self) -> None:
        """Wait until the device has done all that it was given."""
        if self._runs_on_cuda:
            synchronize(self.torch_device)

    def reset_peak(self) -> None:
        """Begin to measure the peak anew, from empty caches."""
        if self._runs_on_cuda:
            empty_cache()
            reset_peak_memory_stats(self.torch_device)

    def peak_reserved_bytes(self) -> int | None:
        """Return the most bytes that the allocator has reserved; None on a CPU."""
        if not self._runs_on_cuda:
            return None
        return int(max_memory_reserved(self.torch_device))

    def free_bytes(self) -> int | None:
        """Return what is free on the device, with CUDA up in this process; None on a CPU."""
        if not self._runs_on_cuda:
            return None
        torch.empty(1, device=self.torch_device)  # Brings CUDA up, which takes memory itself.
        return int(mem_get_info(self.torch_device)[0])


def memory_fraction(limit_bytes: int, total_bytes: int) -> float:
    """Return the share of a device's bytes of which PyTorch makes exactly a limit.

    PyTorch rounds the product down: of the quotient alone it may come to a byte too few, and
    segments that fill the limit to the byte would be refused.

    Args:
        limit_bytes: What may be reserved, at least 0.
        total_bytes: The device's memory, above 0.
    """
    return min(1.0, (limit_bytes + 0.5) / total_bytes)
