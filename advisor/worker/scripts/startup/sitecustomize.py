"""Run by every Python that a measured command starts: has what trains in it observed.

Its folder is on ``PYTHONPATH`` of the command. Nothing happens in a process without torch.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_FOLDER = str(Path(__file__).parent)


def _run_the_next() -> None:
    """Run the module of this name that this one hides: a distribution's, or an environment's."""
    others = [entry for entry in sys.path if entry != _FOLDER]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


def _observe() -> None:
    # Last, so that the program's own packages are found first.
    sys.path += [p for p in os.environ["BSADVISE_PATH"].split(os.pathsep) if p not in sys.path]
    from advisor.worker.scripts.patching import when_imported  # noqa: PLC0415 - found by now

    def install() -> None:
        from advisor.worker.scripts.started import observe_this_process  # noqa: PLC0415 - has torch

        observe_this_process(os.environ)

    when_imported("torch", install)


_run_the_next()
if "BSADVISE_RECORDS" in os.environ:
    _observe()
