"""Scripts with training loops of their own, in ``tests/scripts/own_loops``."""

from __future__ import annotations

import shutil
from pathlib import Path

from advisor.worker.scripts.surroundings import Script

OWN_LOOPS = Path(__file__).parent.parent / "scripts" / "own_loops"


def own_loop(directory: Path, name: str, *arguments: str) -> Script:
    """Return the script of a name, in a folder of its own."""
    source_dir = directory / "source"
    source_dir.mkdir()
    shutil.copyfile(OWN_LOOPS / f"{name}.py", source_dir / "train.py")
    return Script(source_dir=source_dir, entry_path="train.py", arguments=arguments)
