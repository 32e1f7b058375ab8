"""Defaults of flags from ``bsadvise.toml``, below the flags and ``BSADVISE_*`` variables.

Keys are the names of flags. In ``[client]`` they are for every command that has them; in a table
below it that is named for a command, for that command::

    [client]
    device = "cuda:0"

    [client.recommend]
    memory-limit = "16GiB"

    [daemon]
    sandbox = "landlock"

The same keys and tables at the top of the file mean the same; where both are given, ``[client]``
wins. ``[daemon]`` is for daemons to read, a private one included. Which files there are, and what
each may decide, is in ``bsadvise.configuration``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bsadvise.configuration import (
    ADVICE_KEYS,
    CLIENT_TABLE,
    CONFIG_NAME,
    DAEMON_TABLE,
    ConfigUnusable,
    folders_config,
    read_config,
    users_config,
)
from bsadvise.printable import printable


@dataclass(frozen=True, slots=True)
class Defaults:
    """What files of settings say.

    Attributes:
        flags: click's ``default_map`` for the group of commands.
        ignored: What the working directory's file has no say in, as it stands there.
    """

    flags: Mapping[str, Any]
    ignored: tuple[str, ...]

    @property
    def warning(self) -> str:
        """One sentence about what is ignored."""
        return (
            f"{CONFIG_NAME} of the working directory gives defaults of a recommendation alone: "
            f"{', '.join(self.ignored)} ignored; for these name a file with --config, or put them "
            f"into ~/.config/bsadvise/{CONFIG_NAME}"
        )


def load_defaults(
    named: Path | None, environment: Mapping[str, str], group: click.Group
) -> Defaults:
    """Return the defaults of all files; the working directory's go before the user's own.

    Args:
        named: The file that a flag names; then it is the only one.
        environment: Environment variables.
        group: The commands whose flags are keys.

    Raises:
        click.UsageError: A file cannot be read, or has a key that is no flag.
    """
    own, here = users_config(environment, named), folders_config(environment, named)
    flags: Mapping[str, Any] = {} if own is None else _defaults_of(_read(own, group)[0], {}, group)
    if here is None:
        return Defaults(flags, ())
    settings, has_daemon = _read(here, group)
    ignored = tuple(_others(settings))
    if has_daemon:
        ignored = (*ignored, f"[{DAEMON_TABLE}]")
    of_folder = _defaults_of(_advice_alone(settings, here), {}, group)
    return Defaults(_overlaid(flags, of_folder), ignored)


def _read(path: Path, group: click.Group) -> tuple[dict[str, Any], bool]:
    """Return the client's part of a file as one table, and whether there is a daemon's too."""
    try:
        content = read_config(path)
    except ConfigUnusable as error:
        raise click.UsageError(printable(str(error))) from error
    _check_keys(content.at_top, group, str(path))
    _check_keys(content.client, group, f"{path}, [{CLIENT_TABLE}]")
    return _merged(content.at_top, content.client), content.daemon is not None


def _others(settings: Mapping[str, Any], table: str = "") -> Iterator[str]:
    """Yield the keys that are not of a recommendation."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _others(value, f"{table}[{key}] ")
        elif _plain(key) not in ADVICE_KEYS:
            yield f"{table}{key}"


def _advice_alone(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            kept[key] = _advice_alone(value, path)
        elif _plain(key) in ADVICE_KEYS:
            kept[key] = value
        if _plain(key) in ("include", "data-path"):
            _check_inside(_plain(key), value, path)
    return kept


def _check_inside(name: str, value: object, path: Path) -> None:
    """Raise click.UsageError where a folder's own file names what lies elsewhere."""
    here = Path(os.path.realpath(path.parent))
    for one in value if isinstance(value, list) else [value]:
        if not Path(os.path.realpath(Path(str(one)).expanduser())).is_relative_to(here):
            raise click.UsageError(f"{path}: {name} {one!r} leads out of the working directory")


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two maps of defaults as one, in which ``above`` wins, flag by flag."""
    both = dict(below)
    for key, value in above.items():
        both[key] = _overlaid(below.get(key, {}), value) if isinstance(value, dict) else value
    return both


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
        if not isinstance(table, dict):  # A flag of the same name as a command.
            table = {}
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
