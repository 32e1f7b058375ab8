"""A fork server whose workers answer by the formulas of a simulated device.

Checkpoints are small files in the job's own directory, as a real worker's are. Each command is
noted in the source directory's ``commands.txt`` as it ends, so that a test can tell which were
carried out, and how often.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bsadvise.model.commands import Command
from bsadvise.model.measurements import Outcome
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.process.forkserver import main
from tests.support.builders import a_profile
from tests.support.simulated_device import SimulatedDevice

COMMAND = (sys.executable, __file__)

COMMAND_S = 0.005
"""A command takes this long, so that it can be killed in its middle."""

HOLD = "PYTORCH_BSADVISE_HOLD"
"""A variable: commands wait while there is a file named by it and by their class."""

HELD = "held"
"""The file in the checkpoint directory that says that a command waits."""

_SGD = OptimizerProfile(optimizer_name="SGD", family=OptimizerFamily.SGD, momentum=0.0)


class Checkpoints(dict[str, tuple[float, ...]]):
    """Checkpoints in files: a worker that is started anew finds those of the one before."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def __getitem__(self, name: str) -> tuple[float, ...]:
        return tuple(json.loads((self._directory / f"{name}.json").read_text()))

    def __setitem__(self, name: str, errors: tuple[float, ...]) -> None:
        temporary = self._directory / f".{name}.new"
        temporary.write_text(json.dumps(errors))
        temporary.rename(self._directory / f"{name}.json")

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in self._directory.glob("*.json"))


class SimulatedWorker:
    def __init__(self, job: pipe_pb2.Job, entering_hook: Callable[[str], None]) -> None:
        self._checkpoint_dir = Path(job.checkpoint_dir)
        self._device = SimulatedDevice(
            profile=a_profile(
                optimizer=_SGD, reference_batch_size=32, reference_learning_rate=0.05
            ),
            limit_bytes=job.memory_limit_bytes,
            fixed_time_s=0.02,
            sample_time_s=2e-4,
            checkpoints=Checkpoints(self._checkpoint_dir),
        )

    def execute(self, command: Command) -> Outcome:
        time.sleep(COMMAND_S)
        while Path(f"{os.environ[HOLD]}{type(command).__name__}").exists():
            (self._checkpoint_dir / HELD).touch()
            time.sleep(COMMAND_S)
        return self._device.measure(command).outcome


if __name__ == "__main__":
    os.environ["PYTHONHASHSEED"] = "0"
    main(SimulatedWorker)
