"""``bsadvise.toml``: defaults for the command line, below its flags and ``BSADVISE_*`` variables.

Keys are the names of flags. In ``[client]`` they are for every command that has them; in a table
below it that is named for a command, for that command::

    [client]
    device = "cuda:0"

    [client.recommend]
    memory-limit = "16GiB"

    [daemon]
    sandbox = "landlock"

The same keys and tables at the top of the file mean the same; where both are given, ``[client]``
wins. ``[daemon]`` is for daemons to read, a private one included.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

CONFIG_NAME = "bsadvise.toml"
_TABLE = "client"
_DAEMONS_TABLE = "daemon"


def load_defaults(path: Path, group: click.Group) -> dict[str, Any]:
    """Return a file's settings as click's ``default_map`` for a group of commands.

    Raises:
        click.UsageError: The file is not TOML, or has a key that is no flag.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: {error}") from error
    at_top = {key: content[key] for key in content if key not in (_TABLE, _DAEMONS_TABLE)}
    in_table = content.get(_TABLE, {})
    if not isinstance(in_table, dict):
        raise click.UsageError(f"{path}: {_TABLE} must be a table")
    _check_keys(at_top, group, str(path))
    _check_keys(in_table, group, f"{path}, [{_TABLE}]")
    return _defaults_of(_merged(at_top, in_table), {}, group)


def _merged(settings: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    """Return two tables as one, in which ``stronger`` wins."""
    merged = dict(settings)
    for key, value in stronger.items():
        if isinstance(value, dict):
            merged[key] = _merged(settings.get(key, {}), value)
        else:
            # Last, since "no-trials" and "no_trials" are one key, of which the last one counts.
            merged.pop(key, None)
            merged[key] = value
    return merged


def _defaults_of(
    settings: Mapping[str, Any], inherited: Mapping[str, Any], group: click.Group
) -> dict[str, Any]:
    common = {**inherited, **_plain_keys(settings)}
    defaults: dict[str, Any] = {}
    for name, command in group.commands.items():
        table = settings.get(name, {})
        if isinstance(command, click.Group):
            defaults[name] = _defaults_of(table, common, command)
        else:
            flags = _flags(command)
            given = {**common, **_plain_keys(table)}
            found = {flags[key]: given[key] for key in given if key in flags}
            defaults[name] = {**found, **_lists(found, command)}
    return defaults


def _lists(defaults: Mapping[str, Any], command: click.Command) -> dict[str, Any]:
    """Return what is given once of flags that may be given several times, as a list."""
    several = {param.name for param in command.params if getattr(param, "multiple", False)}
    return {
        name: [item]
        for name, item in defaults.items()
        if name in several and not isinstance(item, list)
    }


def _check_keys(settings: Mapping[str, Any], command: click.Command, where: str) -> None:
    inside = command.commands if isinstance(command, click.Group) else {}
    known = _all_flags(command)
    for key, value in settings.items():
        if isinstance(value, dict) and key in inside:
            _check_keys(value, inside[key], f"{where}, [{key}]")
        elif isinstance(value, dict) or _plain(key) not in known:
            names = ", ".join(sorted({*known, *inside}))
            raise click.UsageError(f"{where}: no setting is called {key!r}; there are: {names}")


def _plain_keys(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {_plain(key): item for key, item in settings.items() if not isinstance(item, dict)}


def _plain(key: str) -> str:
    return key.replace("_", "-")


def _flags(command: click.Command) -> dict[str, str]:
    """Return each long flag's name, and that of its parameter."""
    return {
        flag.removeprefix("--"): param.name or ""
        for param in command.params
        for flag in param.opts
        if flag.startswith("--")
    }


def _all_flags(command: click.Command) -> set[str]:
    inside = command.commands.values() if isinstance(command, click.Group) else ()
    return set(_flags(command)).union(*(_all_flags(one) for one in inside))
