"""``python -m advisor.worker``: the fork server, with all imported that its workers will need."""

from __future__ import annotations

import importlib.util
import sys

_NEEDED = {
    "google.protobuf": "protobuf>=6.31.1",
    "numpy": "numpy",
    "psutil": "psutil",
    "torch": "torch>=2.4",
}
"""What a worker imports, and what installs it. An interpreter of the user's may lack some."""


def _main() -> None:
    missing = [package for module, package in _NEEDED.items() if not _is_there(module)]
    if missing:
        packages = " ".join(f"'{package}'" for package in missing)
        sys.exit(f"Install what a worker needs: {sys.executable} -m pip install {packages}")
    # Not before the check above.
    # An optimizer imports this for itself when it is first made, which takes most of a second.
    # Here it is done once for all workers.
    import torch._dynamo  # noqa: F401, PLC0415

    from advisor.worker.commands.execution import Worker  # noqa: PLC0415
    from advisor.worker.process.forkserver import main  # noqa: PLC0415

    main(Worker)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # Of the package around it.
        return False


if __name__ == "__main__":
    _main()
