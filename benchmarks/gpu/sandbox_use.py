"""What a worker does in each sandbox that works here: trains, compiles, and reaches nothing else.

The model file tries for itself what it must not be able to do, and fails the step if it can.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bsadvise.model.commands import Command, InspectTask, RunStep, TimeSteps
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.measurements import Failed, Outcome, StepRun, StepTimes
from bsadvise.model.task import TaskProfile

from advisor.devices.inventory import LocalInventory
from advisor.pools.local import LocalPool
from advisor.pools.resource_limits import Isolation, Limits, shared_reach
from advisor.pools.sandbox import SandboxMissing, choose_sandbox
from advisor.pools.sandbox_degrees import BWRAP, LANDLOCK, NAMESPACES, OFF
from advisor.ports.worker_pool import WorkerJob
from benchmarks.gpu.report import Report

_DEGREES = (NAMESPACES, LANDLOCK, BWRAP, OFF)
"""The strongest first; the last, for comparison, where there is a GPU."""
_COMMAND_LIMIT_S = 60.0
_BATCH_SIZE = 64

_MODEL = """
import pathlib
import socket

import torch
from torch import nn

IS_CONFINED = {is_confined}


def check_confined():
    try:
        pathlib.Path({secret!r}).read_text()
    except OSError:
        pass
    else:
        raise AssertionError("a file outside of the sandbox was read")
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).connect(("127.0.0.1", 9))
    except ConnectionRefusedError:
        raise AssertionError("the network was reached")
    except OSError:
        pass


def build_model():
    if IS_CONFINED:
        check_confined()
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 10))
    return torch.compile(model) if {is_compiled} else model


def make_batch(batch_size):
    return torch.randn(batch_size, 256), torch.randint(10, (batch_size,))
"""


def measure(name: str, report: Report, *, is_small: bool, limit_s: float) -> None:  # noqa: ARG001
    """Note, for each degree that works here, what a worker did in it.

    Raises:
        SystemExit: A worker could not do what it must, or could what it must not.
    """
    device = LocalInventory().find("cpu" if is_small else "auto")
    if device.kind is not DeviceKind.CPU:
        report.note("device_files", sorted(path.name for path in Path("/dev").glob("nvidia*")))
    # Triton has its kernels called through C that it compiles.
    compiles = not is_small and (shutil.which("gcc") or shutil.which("cc")) is not None
    faults = []
    for degree in _DEGREES[:-1] if is_small else _DEGREES:
        try:
            choose_sandbox(degree)
        except SandboxMissing as missing:
            report.note(degree, {"skipped": str(missing)})
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(_use(degree, device, Path(folder), compiles=compiles))
        report.note(degree, found)
        faults += [f"{degree}: {fault}" for fault in found["faults"]]
    if faults:
        raise SystemExit("; ".join(faults))


async def _use(degree: str, device: Device, folder: Path, *, compiles: bool) -> dict[str, Any]:
    state_dir, secret = folder / "state", folder / "secret"
    secret.write_text("not to be read", encoding="utf-8")
    reach = shared_reach(state_dir, folder / "home", data_paths=(), allow_network=False)
    limits = Limits(scratch_bytes=1 << 30)
    pool = LocalPool(isolation=Isolation(limits=limits, sandbox=degree, reach=reach))
    found: dict[str, Any] = {"faults": []}
    try:
        for form in ("eager", "compiled") if compiles else ("eager",):
            source_dir, checkpoint_dir = (state_dir / f / form for f in ("sources", "checkpoints"))
            source_dir.mkdir(parents=True)
            checkpoint_dir.mkdir(parents=True)
            model = _MODEL.format(
                is_confined=degree != OFF, secret=str(secret), is_compiled=form == "compiled"
            )
            (source_dir / "model.py").write_text(model, encoding="utf-8")
            job = WorkerJob(
                source_dir=source_dir, entry_path="model.py", checkpoint_dir=checkpoint_dir,
                devices=(device,),
            )  # fmt: skip
            async with pool.open(job) as session:
                for command in _commands(form):
                    began_s = time.monotonic()
                    outcome = (await session.run(command)).outcome
                    key = f"{form}_{type(command).__name__}"
                    found[f"{key}_wall_s"] = round(time.monotonic() - began_s, 3)
                    if isinstance(outcome, StepRun):
                        found[f"{form}_peak_bytes"] = outcome.peak_bytes
                    elif isinstance(outcome, StepTimes):
                        found[f"{form}_step_time_s"] = statistics.median(outcome.step_times_s)
                    elif not isinstance(outcome, TaskProfile):
                        found["faults"].append(f"{key}: {_told(outcome)}")
    finally:
        await pool.close()
    return found


def _commands(form: str) -> Iterator[Command]:
    if form == "eager":
        yield InspectTask(time_limit_s=_COMMAND_LIMIT_S)
        yield RunStep(time_limit_s=_COMMAND_LIMIT_S, micro_batch_size=_BATCH_SIZE)
    yield TimeSteps(time_limit_s=_COMMAND_LIMIT_S, micro_batch_size=_BATCH_SIZE, measure_s=0.5)


def _told(outcome: Outcome) -> str:
    return outcome.fault.message if isinstance(outcome, Failed) else str(outcome)
