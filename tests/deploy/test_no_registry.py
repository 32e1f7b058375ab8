"""Where packages come from is for each installation to say: no file here names a registry."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# In parts, so that this file may be read too.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("pypi", "nvidia", "com"),
        ("anaconda", "org"),
        ("anaconda", "com"),
        ("debian", "org"),
        ("ubuntu", "com"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("docker", "io"),
        ("docker", "com"),
        ("ghcr", "io"),
        ("gcr", "io"),
        ("quay", "io"),
        ("nvcr", "io"),
        ("mcr", "microsoft", "com"),
        ("buf", "build"),
    )
]


def _files() -> list[Path]:
    """Return every file that is, or would be, in the repository."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("needs a clone, and git to list its files")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [path for name in listed.stdout.decode().split("\0") if (path := ROOT / name).is_file()]


def test_no_file_names_a_registry() -> None:
    files = _files()
    assert Path(__file__) in files
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in REGISTRIES
        if name.encode() in path.read_bytes().lower()
    }
    assert not found
