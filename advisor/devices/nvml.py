"""NVIDIA's GPUs, as the driver's management library describes them.

pynvml raises one exception class for each of the library's error codes, all under NVMLError.
Which of them mean "no answer to this question" and which "no such card any more" is decided
here and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
import pynvml
from bsadvise.model.device import Device, DeviceKind, DeviceProcess

logger = logging.getLogger(__name__)

T = TypeVar("T")

Handle = Any
"""A device handle of pynvml, which has no types."""

# What a machine with no NVIDIA GPU, or with its driver unloaded, says. No news to anyone.
_NO_DRIVER = (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded)

# The card, the driver or the library does not know the answer; the card itself is sound.
_NO_ANSWER = (
    pynvml.NVMLError_NotSupported,
    pynvml.NVMLError_FunctionNotFound,
    pynvml.NVMLError_NoPermission,
    pynvml.NVMLError_InvalidArgument,
    pynvml.NVMLError_ArgumentVersionMismatch,
)

# What is said beside that by cards that work, of figures that nothing depends on.
_NO_FIGURE = (*_NO_ANSWER, pynvml.NVMLError_Unknown, pynvml.NVMLError_NoData)


@dataclass(frozen=True, slots=True)
class _Memory:
    total_bytes: int
    free_bytes: int | None = None
    reserved_bytes: int | None = None


def read_gpus() -> tuple[Device, ...]:
    """Return the GPUs of this machine in NVML's order; none when there is no driver.

    The devices of a partitioned (MIG) GPU stand in its place, each with the GPU's index. A
    card that is lost while it is looked at is left out.
    """
    try:
        with _library():
            return tuple(_read_all())
    except _NO_DRIVER:
        return ()
    except pynvml.NVMLError as error:
        logger.warning("cannot list the GPUs: %s", error)
        return ()


@contextmanager
def open_gpu(device_id: str) -> Iterator[Handle | None]:
    """Give the handle of a GPU, of use until this is left; None where there is no such GPU."""
    with ExitStack() as stack:
        try:
            stack.enter_context(_library())
            gpu = pynvml.nvmlDeviceGetHandleByUUID(device_id)
        except pynvml.NVMLError:
            gpu = None
        yield gpu


def read_energy_j(gpu: Handle) -> float | None:
    """Return the joules that a GPU has taken since its driver was loaded; None if it is mute."""
    return _thousandth(_ask_gently(pynvml.nvmlDeviceGetTotalEnergyConsumption, gpu))


def read_power_w(gpu: Handle) -> float | None:
    """Return the watts that a GPU draws; None if it is mute."""
    return _thousandth(_ask_gently(pynvml.nvmlDeviceGetPowerUsage, gpu))


@contextmanager
def _library() -> Iterator[None]:
    # Once for each listing: the library counts its users, so that threads may overlap, and a
    # driver that has been reloaded in between is found again.
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def _read_all() -> Iterator[Device]:
    driver_version = _ask(pynvml.nvmlSystemGetDriverVersion)
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            # A list, so that a card lost half-way leaves nothing behind.
            devices = [_read(part, index, driver_version) for part in _parts(handle)]
        except pynvml.NVMLError as error:
            logger.warning("GPU %d does not answer and is left out: %s", index, error)
            continue
        yield from devices


def _parts(handle: Handle) -> list[Handle]:
    """Return the MIG devices of a partitioned GPU, or the GPU itself."""
    current_mode, _ = _ask(pynvml.nvmlDeviceGetMigMode, handle) or (0, 0)
    if current_mode != pynvml.NVML_DEVICE_MIG_ENABLE:
        return [handle]
    parts = []
    for slot in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            parts.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot))
        except pynvml.NVMLError_NotFound:
            continue
    return parts


def _read(handle: Handle, index: int, driver_version: str | None) -> Device:
    memory = _read_memory(handle)
    rates = _ask_figure(pynvml.nvmlDeviceGetUtilizationRates, handle)
    return Device(
        device_id=pynvml.nvmlDeviceGetUUID(handle),
        name=pynvml.nvmlDeviceGetName(handle),
        kind=DeviceKind.CUDA,
        present=True,
        total_bytes=memory.total_bytes,
        free_bytes=memory.free_bytes,
        reserved_bytes=memory.reserved_bytes,
        index=index,
        driver_version=driver_version,
        processes=_read_processes(handle),
        power_w=_thousandth(_ask_figure(pynvml.nvmlDeviceGetPowerUsage, handle)),
        power_limit_w=_thousandth(_ask_figure(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
        utilisation=None if rates is None else rates.gpu / 100,
    )


def _thousandth(thousandths: int | None) -> float | None:
    return None if thousandths is None else thousandths / 1000


def _read_memory(handle: Handle) -> _Memory:
    # The second version tells what the driver keeps apart from what processes use.
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle, version=pynvml.nvmlMemory_v2)
    if memory is not None:
        return _Memory(memory.total, memory.free, memory.reserved)
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    if memory is not None:
        return _Memory(memory.total, memory.free)
    # A GPU that shares the machine's memory has none of its own to report. What it can reach
    # is the machine's; what of that is free for it, only CUDA in the worker can tell.
    return _Memory(psutil.virtual_memory().total)


def _read_processes(handle: Handle) -> tuple[DeviceProcess, ...]:
    # One that computes and draws is in both lists.
    found = {
        process.pid: process
        for ask in (
            pynvml.nvmlDeviceGetGraphicsRunningProcesses,
            pynvml.nvmlDeviceGetComputeRunningProcesses,
        )
        for process in _ask_figure(ask, handle) or ()
    }
    own = _own_pids() if found else set()
    return tuple(
        DeviceProcess(
            pid=pid,
            process_name=_read_process_name(pid),
            used_bytes=process.usedGpuMemory,
            is_own=pid in own,
        )
        for pid, process in sorted(found.items())
    )


def _own_pids() -> set[int]:
    """Return the numbers of this process and of all that it has started: its workers."""
    this = psutil.Process()
    return {this.pid, *(child.pid for child in this.children(recursive=True))}


def _read_process_name(pid: int) -> str | None:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        # It has ended, or lives outside of our container.
        return None


def _ask(question: Callable[..., T], *args: object, **kwargs: object) -> T | None:
    """Return the library's answer; None when it has none."""
    try:
        return question(*args, **kwargs)
    except _NO_ANSWER:
        return None


def _ask_figure(question: Callable[..., T], gpu: Handle) -> T | None:
    """Return a figure that a card may go without; None when the library has none.

    Raises:
        NVMLError: The card is lost.
    """
    try:
        return question(gpu)
    except _NO_FIGURE:
        return None


def _ask_gently(question: Callable[..., T], gpu: Handle) -> T | None:
    """Return the library's answer; None when it has none, also of a card that is lost."""
    try:
        return question(gpu)
    except pynvml.NVMLError:
        return None
