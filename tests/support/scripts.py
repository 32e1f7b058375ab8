"""Scripts that tests write, and running them as they are."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from advisor.worker.scripts.handler import PassiveHandler, ScriptHandler
from advisor.worker.scripts.running import Ending, run_script
from advisor.worker.scripts.surroundings import Script, surroundings


def write_script(directory: Path, source: str, *arguments: str, **others: str) -> Script:
    """Return a script of a test's own, with other files beside it.

    Args:
        directory: Where it goes.
        source: The script.
        arguments: Its command line.
        others: Contents of modules by their names.
    """
    source_dir = directory / "source"
    source_dir.mkdir()
    for name, text in {"train": source, **others}.items():
        (source_dir / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    return Script(source_dir=source_dir, entry_path="train.py", arguments=arguments)


def run_intercepted(script: Script, handler: ScriptHandler | None = None) -> Ending:
    """Return how a script ends in this process, in surroundings of its own."""
    with surroundings(script) as copy:
        return run_script(copy, script.entry_path, handler or PassiveHandler())


def output_of_bare_run(script: Script) -> str:
    """Return what a script prints that is run by Python alone, in its own folder."""
    command = [sys.executable, script.entry_path, *script.arguments]
    done = subprocess.run(
        command, cwd=script.source_dir, check=True, capture_output=True, text=True
    )
    return done.stdout
