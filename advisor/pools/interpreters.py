"""Fork servers under other interpreters: the user's packages, and of ours the worker alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import bsadvise

import advisor
from advisor.pools.environment import worker_environment

_OF_THE_DAEMON = ("PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX")
"""Variables that speak of the daemon's own interpreter."""


def lay_out_modules(directory: Path) -> None:
    """Fill a directory with links to what a worker imports of ours.

    The directory that these packages lie in would not do: it holds all that is installed for
    the daemon, and would go before what is installed for the user.
    """
    for package in (advisor, bsadvise):
        (origin,) = package.__path__
        (directory / package.__name__).symlink_to(Path(origin).resolve())


def command_under(python: Path) -> tuple[str, ...]:
    """Return what starts a fork server under an interpreter."""
    return (str(python), "-P", "-m", "advisor.worker")


def environment_under(modules_dir: Path) -> Mapping[str, str]:
    """Return the environment of a fork server under an interpreter of the user's.

    Args:
        modules_dir: What ``lay_out_modules`` has filled.
    """
    environment = worker_environment(os.environ)
    for name in _OF_THE_DAEMON:
        environment.pop(name, None)
    return {**environment, "PYTHONPATH": str(modules_dir)}
