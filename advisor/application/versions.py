"""The versions of what decides an answer: planner, measurements, and their libraries."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import bsadvise.model

_ADVISOR = Path(__file__).parents[1]
_MODEL = Path(bsadvise.model.__file__).parent

_DECIDING = (
    "domain/limits.py",
    "domain/memory_budget.py",
    "estimators",
    "planning",
    "ports/proposer.py",
    "search",
    # What a worker measures; how its process is started and confined has no bearing on it.
    "worker/commands",
    "worker/data",
    "worker/entries",
    "worker/loop",
    "worker/scripts",
    "worker/tracing",
    "worker/user",
)

DECIDING_SOURCES = (*(_ADVISOR / name for name in _DECIDING), _MODEL)
"""Modules and packages that decide what is measured and what is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What decides an answer in addition to the request and its device.

    Attributes:
        planner: Digest of the sources that plan, estimate and measure, and of their tuning.
        python: Version of the interpreter.
        torch: Version of PyTorch; None where it is not installed.
        optuna: Version of Optuna, which proposes trials; None where it is not installed.
    """

    planner: str
    python: str
    torch: str | None
    optuna: str | None


def read_versions(tuning_digest: str) -> Versions:
    """Return the versions of this installation.

    Args:
        tuning_digest: Digest of the tuned numbers that the planners are made with.
    """
    sources = digest_of_sources(DECIDING_SOURCES)
    return Versions(
        planner=hashlib.sha256(f"{sources} {tuning_digest}".encode()).hexdigest(),
        python=platform.python_version(),
        torch=_version_of("torch"),
        optuna=_version_of("optuna"),
    )


def digest_of_sources(paths: Iterable[Path]) -> str:
    """Return a digest of modules: a checkout changes while its version number does not.

    Args:
        paths: Python files, and packages of them.
    """
    digest = hashlib.sha256()
    for name, content in sorted(_read(paths)):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _read(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        for module in path.rglob("*.py") if path.is_dir() else (path,):
            yield module.relative_to(path.parent).as_posix(), module.read_bytes()


def _version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
