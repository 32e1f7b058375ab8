"""Makes an environment on a machine with a PyTorch and no network, and runs there: ``make gpu``.

Started by the Python that has PyTorch. The environment shows that Python's packages and, before
them, those wheels of the folder that it lacks; nothing of its own is changed. Uses the standard
library alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.requirements import ROOT, package_name, requirements
from benchmarks.gpu.wheels import WHEELS

ENVIRONMENT = ROOT / ".gpu" / "venv"


def main() -> None:
    """Make the environment, and become the run in it."""
    python = make_environment(ENVIRONMENT, WHEELS)
    command = (str(python), "-m", "benchmarks.gpu", *sys.argv[1:])
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def make_environment(folder: Path, wheels: Path) -> Path:
    """Return the interpreter of an environment that has all that a run needs.

    Args:
        folder: Where it is to be, or is.
        wheels: What ``make gpu-wheels`` collected; it may be missing where nothing else is.

    Raises:
        SystemExit: Something is missing, and no wheel has it.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        venv.EnvBuilder(symlinks=True).create(folder)
    site = folder.joinpath(
        "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages"
    )
    (site / "outer.pth").write_text("\n".join(outer_paths(sys.path)) + "\n", encoding="utf-8")
    install(python, wheels)
    return python


def outer_paths(search_path: Sequence[str]) -> list[str]:
    """Return what an environment is to see in addition: our packages, and where others are."""
    ours = [str(ROOT), str(ROOT / "client")]
    return ours + [
        entry for entry in search_path if Path(entry).name in ("site-packages", "dist-packages")
    ]


def install(python: Path, wheels: Path) -> None:
    """Install what is missing, from wheels alone; what is there in a fitting version stays.

    Raises:
        SystemExit: It cannot be.
    """
    pip = next(wheels.glob("pip-*.whl"), None) if wheels.is_dir() else None
    if pip is None:
        print(f"no wheels in {wheels}; `make gpu-wheels` collects them where there is a network")
        return
    # PyTorch is there, with what it needs or without: that is not for pip to judge here.
    lines = requirements(without=("torch",))
    # More than the requirements may have been collected; pip is there to install, not to use.
    collected = {package_name(wheel.name) for wheel in wheels.glob("*.whl")}
    more = sorted(collected - set(map(package_name, lines)) - {"pip"})
    command = (
        *(str(python), str(pip / "pip"), "install", "--quiet", "--disable-pip-version-check"),
        *("--no-index", "--find-links", str(wheels), *lines, *more),
    )
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(f"some packages are neither installed nor among the wheels in {wheels}")


if __name__ == "__main__":
    main()
