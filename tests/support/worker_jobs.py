"""Jobs for workers that run what a test has written."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

from bsadvise.model.device import Device, DeviceKind

from advisor.ports.worker_pool import WorkerJob

PREAMBLE = "import os, signal, subprocess, sys\nfrom bsadvise.model.measurements import *\n"
"""What every script of a scripted worker needs."""

WriteJob = Callable[[str], WorkerJob]

CPU = Device(device_id="cpu", name="a CPU", kind=DeviceKind.CPU, present=True, total_bytes=2**33)


def write_job(
    directory: Path, source: str, *, preamble: str = "", device: Device = CPU
) -> WorkerJob:
    """Return a job whose model file is ``preamble`` and ``source``."""
    text = preamble + textwrap.dedent(source)
    (directory / "model.py").write_text(text, encoding="utf-8")
    checkpoint_dir = directory / "checkpoints"
    checkpoint_dir.mkdir()
    return WorkerJob(
        source_dir=directory,
        entry_path="model.py",
        checkpoint_dir=checkpoint_dir,
        devices=(device,),
    )
