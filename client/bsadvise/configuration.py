"""``bsadvise.toml``, as the command line and the daemon both read it: places and tables.

The file is the user's own: the one that ``--config`` or ``BSADVISE_CONFIG`` names, else
``bsadvise/bsadvise.toml`` in the configuration folder (``XDG_CONFIG_HOME``). Its table
``[daemon]`` is the daemon's; ``[client]``, and what stands at the top, are the command line's.

A file of that name in the working directory may be somebody else's, since folders are cloned and
unpacked: it gives defaults of a recommendation (``ADVICE_KEYS``) and decides nothing else, neither
whom a client talks to nor what it shows there, nor how a daemon runs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bsadvise.paths import HomeMissing, normalise, user_folder

CONFIG_NAME = "bsadvise.toml"
MOST_BYTES = 1 << 20
"""Of a file, which somebody else may have put into the working directory."""

CONFIG_VARIABLE = "BSADVISE_CONFIG"
CLIENT_TABLE = "client"
DAEMON_TABLE = "daemon"

ADVICE_KEYS = frozenset(
    {
        "batch", "budget", "device", "device-hour-price", "effective-batch-size", "gpus", "include",
        "data-path", "margin", "memory-limit", "model-class", "no-cache", "no-trials", "objective",
        "observe-only", "prior",
        "priority", "schedule", "seed", "set", "target-loss", "train-for", "trials", "warmup",
    }
)  # fmt: skip
"""Flags that a file of the working directory may give defaults of: what is asked for, not of whom,
with which interpreter, where the answer is written, or that files are changed."""


class ConfigUnusable(Exception):
    """A file of settings cannot be read; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """The content of a file of settings, by who reads it; each checks its own names.

    Attributes:
        at_top: What stands outside of both tables; the command line's.
        client: The table ``[client]``.
        daemon: The table ``[daemon]``; None where there is none.
    """

    at_top: Mapping[str, Any]
    client: Mapping[str, Any]
    daemon: Mapping[str, Any] | None


def read_config(path: Path) -> ConfigFile:
    """Read a file of settings. Raises ConfigUnusable."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ConfigUnusable(f"{path}: has more than {MOST_BYTES:,} bytes; settings need few")
        content = tomllib.loads(text.decode())
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        why = str(error) or type(error).__name__
        raise ConfigUnusable(f"{path}: {why}") from error
    tables = {name: content.pop(name, None) for name in (CLIENT_TABLE, DAEMON_TABLE)}
    for name, table in tables.items():
        if table is not None and not isinstance(table, dict):
            raise ConfigUnusable(f"{path}: {name} must be a table")
    return ConfigFile(
        at_top=content, client=tables[CLIENT_TABLE] or {}, daemon=tables[DAEMON_TABLE]
    )


def users_config(environment: Mapping[str, str], named: Path | None = None) -> Path | None:
    """Return the file that decides: the named one, else the user's own where there is one.

    Args:
        environment: Environment variables.
        named: What a flag named; it goes before the variable.
    """
    if named is None and environment.get(CONFIG_VARIABLE):
        named = Path(environment[CONFIG_VARIABLE])
    if named is not None:
        return normalise(named)
    try:
        own = user_folder(environment, "XDG_CONFIG_HOME", ".config") / "bsadvise" / CONFIG_NAME
    except HomeMissing:
        return None
    return own if own.is_file() else None


def folders_config(environment: Mapping[str, str], named: Path | None = None) -> Path | None:
    """Return the working directory's file; None where there is none, or it is the user's own.

    Args:
        environment: Environment variables.
        named: What a flag named; the working directory is then not looked at.
    """
    here = Path(CONFIG_NAME)
    if named is not None or environment.get(CONFIG_VARIABLE) or not here.is_file():
        return None
    own = users_config(environment)
    return None if own is not None and own.samefile(here) else here
