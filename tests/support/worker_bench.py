"""Workers in this process, for model files that tests write or that stand in tests/models."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TypeVar

from bsadvise.model.commands import Command
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.measurements import Failed, Fault
from bsadvise.v1 import recommendation_pb2
from bsadvise.wire.messages import to_message

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.commands.execution import Worker

MODELS_DIR = Path(__file__).parent.parent / "models"
LIMIT_S = 60.0

T = TypeVar("T")

CPU = Device(
    device_id="cpu", name="CPU", kind=DeviceKind.CPU, present=True, total_bytes=1 << 33,
    free_bytes=1 << 32,
)  # fmt: skip
ABSENT_CARD = Device(
    device_id="a100-80gb", name="A100", kind=DeviceKind.CUDA, present=False, total_bytes=80 << 30
)


class Bench:
    """Makes workers whose bundles and checkpoints lie under one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.entered_hooks: list[str] = []
        (directory / "bundle").mkdir()

    def write(self, source: str, name: str = "model.py") -> None:
        """Write a file of the bundle."""
        (self.directory / "bundle" / name).write_text(textwrap.dedent(source), encoding="utf-8")

    def worker(
        self,
        model: str | None = None,
        *,
        limit_bytes: int | None = None,
        device: Device = CPU,
        seed: int = 0,
        **build_kwargs: str,
    ) -> Worker:
        """Return a worker for a file of tests/models, or for the model.py that was written."""
        job = pipe_pb2.Job(
            source_dir=str(MODELS_DIR if model else self.directory / "bundle"),
            entry_path=f"{model or 'model'}.py",
            entry_kind=recommendation_pb2.ENTRY_KIND_MODEL_FILE,
            checkpoint_dir=str(self.directory / "checkpoints"),
            memory_limit_bytes=limit_bytes,
            seed=seed,
            build_kwargs=build_kwargs,
        )
        to_message(device, job.device)
        return Worker(job, self.entered_hooks.append)


def outcome_of(worker: Worker, command: Command, kind: type[T]) -> T:
    """Return the outcome of a command, which must be of one kind."""
    outcome = worker.execute(command)
    assert isinstance(outcome, kind), outcome
    return outcome


def fault_of(worker: Worker, command: Command) -> Fault:
    """Return the fault of a command, which must fail."""
    return outcome_of(worker, command, Failed).fault
