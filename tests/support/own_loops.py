"""Scripts with training loops of their own, in ``tests/scripts/own_loops``."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from bsadvise.model.observation import Reference, TrainingLoop

from advisor.worker.entries.own_loop.task import OwnLoopTask
from advisor.worker.scripts.surroundings import Script

OWN_LOOPS = Path(__file__).parent.parent / "scripts" / "own_loops"


def own_loop(directory: Path, name: str, *arguments: str) -> Script:
    """Return the script of a name, in a folder of its own."""
    source_dir = directory / "source"
    source_dir.mkdir()
    shutil.copyfile(OWN_LOOPS / f"{name}.py", source_dir / "train.py")
    return Script(source_dir=source_dir, entry_path="train.py", arguments=arguments)


def own_loop_task(script: Script, seed: int, **seen: Any) -> OwnLoopTask:
    """Return the task of a script that was seen to train with eight samples a step.

    Args:
        script: The script.
        seed: The job's.
        seen: Fields of what was seen that are others.
    """
    reference = Reference(
        loop=TrainingLoop.SCRIPT,
        batch_size=8,
        micro_batch_size=8,
        accumulation_steps=1,
        optimizer_name="SGD",
        learning_rate=0.01,
    )
    return OwnLoopTask(script, replace(reference, **seen), lambda _: None, seed)
