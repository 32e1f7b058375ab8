"""The tests that are marked ``gpu``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.gpu.report import Report

_ROOT = Path(__file__).parents[2]
_MARK = "mark.gpu"
_ENDS = ("failure", "error", "skipped")


def measure(name: str, report: Report, *, is_small: bool, limit_s: float) -> None:  # noqa: ARG001
    """Run them, and note how each ended.

    Raises:
        SystemExit: One failed, or there was none.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tests.xml"
        # Warnings of versions other than those of development fail no test here. Files are named,
        # since others import what such a machine need not have.
        command = (
            *(sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-W", "default"),
            *("-p", "no:cacheprovider", f"--junitxml={path}", *map(str, marked_files())),
        )
        exit_code = subprocess.run(command, cwd=_ROOT, timeout=limit_s, check=False).returncode
        ends = dict(ends_of(path.read_text(encoding="utf-8"))) if path.exists() else {}
    report.note("tests", ends)
    if exit_code or not ends:
        raise SystemExit(f"pytest ended with code {exit_code}, of {len(ends)} tests")


def marked_files() -> list[Path]:
    """Return the test files in which something is marked."""
    files = sorted((_ROOT / "tests").rglob("test_*.py"))
    return [path for path in files if _MARK in path.read_text(encoding="utf-8")]


def ends_of(xml: str) -> Iterator[tuple[str, str]]:
    """Yield each test of a JUnit file, and "passed", or how it ended and why."""
    for case in ET.fromstring(xml).iter("testcase"):  # noqa: S314 - pytest wrote it
        end = next((part for part in case if part.tag in _ENDS), None)
        told = "passed" if end is None else f"{end.tag}: {end.get('message', '')[:200]}"
        yield f"{case.get('classname', '')}::{case.get('name', '')}", told
