"""What a run needs of packages, read from pyproject.toml; the standard library alone is used."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]

TESTING = ("hypothesis", "pytest", "pytest-asyncio", "pytest-timeout")
"""Of the development group, what the tests marked ``gpu`` need."""


def requirements(without: Iterable[str] = ()) -> list[str]:
    """Return requirements as pip reads them: the client's, the daemon's, and those of the tests.

    Args:
        without: Names of packages to leave out.
    """
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    project, development = document["project"], document["dependency-groups"]["dev"]
    tests = [line for line in development if package_name(line) in TESTING]
    lines = [*project["dependencies"], *project["optional-dependencies"]["server"], *tests]
    omitted = {package_name(name) for name in without}
    return [line for line in lines if package_name(line) not in omitted]


def package_name(requirement: str) -> str:
    """Return the normalised name that a requirement or a wheel's file name begins with."""
    name = re.split(r"[^A-Za-z0-9._-]|-\d", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()
