"""Collects the wheels that a machine without a network will lack: ``make gpu-wheels``.

PyTorch is never among them, and nothing is that the machine is said to have. Run it where there is
a network; take the folder along; ``make gpu`` there installs what is missing.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.gpu.requirements import ROOT, package_name, requirements

MOST_BYTES = 60 << 20
WHEELS = ROOT / ".gpu" / "wheels"

_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17, 12, 5)]
# As their authors spell some of these.
_PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
_NEVER = ("torch",)
_PRESENT = ("numpy",)
"""Left out unless it is said that the machine lacks it: it comes with nearly every PyTorch."""


def main() -> None:
    """Collect the wheels anew.

    Raises:
        SystemExit: They cannot be had, or take more than they may.
    """
    arguments = _parse(sys.argv[1:])
    shutil.rmtree(arguments.folder, ignore_errors=True)
    arguments.folder.mkdir(parents=True)
    present = {package_name(name) for name in (*_NEVER, *arguments.present.split(",")) if name}
    lines = [*requirements(without=present), *filter(None, arguments.add.split(","))]
    # pip itself too: the machine's Python may have none.
    download(["pip", *lines], arguments.folder, arguments.python_version)
    for wheel in sorted(arguments.folder.iterdir()):
        if package_name(wheel.name) in present:
            wheel.unlink()
    print(report(arguments.folder.iterdir()))
    if total_bytes(arguments.folder) > MOST_BYTES:
        raise SystemExit(
            f"more than {MOST_BYTES >> 20} MiB: leave out what the machine has by --present"
        )


def download(lines: Sequence[str], folder: Path, python_version: str) -> None:
    """Let pip collect wheels, with all that they need, for x86-64 Linux."""
    platforms = (argument for name in _PLATFORMS for argument in ("--platform", name))
    subprocess.run(
        (
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--only-binary=:all:", "--python-version", python_version, "--implementation", "cp"),
            *("--dest", str(folder), *platforms, *lines),
        ),
        check=True,
    )


def total_bytes(folder: Path) -> int:
    """Return what the files of a folder take."""
    return sum(path.stat().st_size for path in folder.iterdir())


def report(wheels: Iterable[Path]) -> str:
    """Return a line for each wheel with its size, the largest first, and the sum."""
    sizes = sorted(((path.stat().st_size, path.name) for path in wheels), reverse=True)
    sizes.append((sum(size for size, _ in sizes), f"in {len(sizes)} wheels"))
    return "\n".join(f"{size / (1 << 20):7.2f} MiB  {name}" for size, name in sizes)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.wheels", description=__doc__)
    parser.add_argument(
        "--present",
        default=",".join(_PRESENT),
        metavar="PACKAGE,…",
        help="what the machine has beside PyTorch; %(default)s by default",
    )
    parser.add_argument(
        "--add",
        default="",
        metavar="PACKAGE,…",
        help="what is to be there as well: transformers for two of the models",
    )
    parser.add_argument("--python-version", default="3.12", help="%(default)s by default")
    parser.add_argument("--folder", type=Path, default=WHEELS, help="where they go; emptied first")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
