"""One step, in this process: ``python -m benchmarks.gpu.step [--small] LIMIT_S NAME FILE.json``."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.gpu.plan import STEPS
from benchmarks.gpu.report import Report

_MODULES = {
    "sandbox": "sandbox_use",
    "energy": "energy",
    "tests": "gpu_tests",
    "memory": "memory",
}
"""The modules of steps; that of the others is ``recommendation``."""

SPARE_S = 12.0
"""Seconds of the limit that are kept for ending in order."""


def main() -> None:
    """Run the step that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="as where there is no GPU")
    parser.add_argument("limit_s", type=float)
    parser.add_argument("name", choices=[step.name for step in STEPS])
    parser.add_argument("figures", type=Path)
    arguments = parser.parse_args()
    # Told to end, it leaves its blocks: a private daemon, and its workers, end with them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    module = importlib.import_module(
        f"benchmarks.gpu.{_MODULES.get(arguments.name, 'recommendation')}"
    )
    with tempfile.TemporaryDirectory() as folder:
        _prepare_environment(folder)
        module.measure(
            arguments.name,
            Report(arguments.figures),
            is_small=arguments.small,
            limit_s=max(1.0, arguments.limit_s - SPARE_S),
        )


def _prepare_environment(folder: str) -> None:
    """Have a daemon of the step's own, with nothing remembered, and nothing downloaded."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.pop("BSADVISE_ADDRESS", None)
    for variable in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        os.environ[variable] = folder


if __name__ == "__main__":
    main()
