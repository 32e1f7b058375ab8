"""The daemon's settings: flags over ``BSADVISE_*`` variables over ``bsadvise.toml`` over defaults.

Of the user's file the table ``[daemon]`` is read; the rest of it is the client's. A file of the
working directory is not: ``bsadvise.configuration`` says why.

Every wrong value is reported with the place that it came from.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from bsadvise.configuration import (
    CONFIG_NAME,
    DAEMON_TABLE,
    ConfigUnusable,
    folders_config,
    read_config,
    users_config,
)
from bsadvise.paths import HomeMissing, user_folder

from advisor.config.settings import ConfigError, Settings
from advisor.config.values import PARSERS

ENVIRONMENT_PREFIX = "BSADVISE_"


class _Value(NamedTuple):
    """A value as it was found, and where."""

    content: object
    origin: str


def load_settings(
    flags: Mapping[str, object], environment: Mapping[str, str], config_path: Path | None = None
) -> Settings:
    """Return the settings of this start.

    Args:
        flags: Values of command-line flags by name; None for those not given.
        environment: Environment variables.
        config_path: The file to read; None for the user's own.

    Raises:
        ConfigError: A value is wrong, a key is unknown, or a file cannot be read.
    """
    values: dict[str, _Value] = {}
    path = users_config(environment, config_path)
    if path is not None:
        values.update(_read_file(path))
    if not flags.get("private"):  # For a private one its client speaks.
        _refuse_folders_table(folders_config(environment, config_path))
    for field in fields(Settings):
        variable = ENVIRONMENT_PREFIX + field.name.upper()
        if environment.get(variable):
            values[field.name] = _Value(environment[variable], variable)
        if flags.get(field.name) is not None:
            flag = "--" + field.name.replace("_", "-")
            values[field.name] = _Value(flags[field.name], flag)
    _refuse_shown_password(flags.get("database"))
    known: dict[str, Any] = {name: _parse(name, value) for name, value in values.items()}
    try:
        known.setdefault("state_dir", _default_state_dir(environment))
    except HomeMissing as error:
        raise ConfigError(f"{error}, or name --state-dir") from error
    known.setdefault("socket", _default_socket(environment, known["state_dir"]))
    settings = Settings(**known)
    _check_together(settings)
    return settings


def _refuse_shown_password(url: object) -> None:
    """Raise ConfigError for a database's password among the arguments of this process."""
    try:
        parts = urlsplit(str(url or ""))
    except ValueError:
        return  # Whatever reads it next says what is wrong.
    if parts.password or "password" in parse_qs(parts.query):
        raise ConfigError(
            "--database: every user of this machine can read a process's arguments, and under "
            f"some sandboxes model files can; set {ENVIRONMENT_PREFIX}DATABASE where the URL holds "
            f"a password, write it in {CONFIG_NAME}, or keep the password in ~/.pgpass"
        )


def _check_together(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigError("tls_cert and tls_key go together; one of them is missing")
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        raise ConfigError("tls_client_ca needs tls_cert and tls_key")
    if settings.tls_revoked is not None and settings.tls_client_ca is None:
        raise ConfigError("tls_revoked needs tls_client_ca: it is about those certificates")
    if settings.tls_cert is not None and settings.listen is None:
        raise ConfigError("tls_cert and tls_key are for listen, which is missing")
    if settings.tls_cert is not None and settings.trust_loopback:
        raise ConfigError("trust_loopback is for plain text; it excludes tls_cert and tls_key")


def _refuse_folders_table(path: Path | None) -> None:
    """Raise ConfigError for a ``[daemon]`` of the working directory.

    It would not be obeyed, and a daemon that runs with other settings than its operator wrote
    goes unnoticed for long.
    """
    if path is None:
        return
    try:
        content = read_config(path)
    except ConfigUnusable:
        return  # Nothing of it would be read.
    if content.daemon is not None:
        raise ConfigError(
            f"{CONFIG_NAME} of the working directory has a table [{DAEMON_TABLE}], and decides "
            f"nothing about a daemon; name the file with --config {CONFIG_NAME}, or move it to "
            f"~/.config/bsadvise/{CONFIG_NAME}"
        )


def _read_file(path: Path) -> Iterator[tuple[str, _Value]]:
    try:
        content = read_config(path)
    except ConfigUnusable as error:
        raise ConfigError(str(error)) from error
    _check_place(content.at_top, path)
    table = content.daemon or {}
    _check_known(table, [field.name for field in fields(Settings)], f"{path}: [{DAEMON_TABLE}]")
    for name, value in table.items():
        yield name, _Value(value, f"{path}: [{DAEMON_TABLE}] {name}")


def _check_place(content: Iterable[str], path: Path) -> None:
    """Raise ConfigError for what is meant for ``[daemon]`` and stands elsewhere.

    All else at the top of the file is the client's, which reads the same file.
    """
    own = {field.name for field in fields(Settings)}
    for name in content:
        if name.replace("-", "_") in own:
            raise ConfigError(f"{path}: {name!r} is the daemon's; it belongs into [{DAEMON_TABLE}]")
        if difflib.get_close_matches(name, [DAEMON_TABLE]):
            hint = f"did you mean {DAEMON_TABLE!r}?"
            raise ConfigError(f"{path}: table {name!r} is not known; {hint}")


def _check_known(names: Iterable[str], known: Iterable[str], place: str) -> None:
    candidates = list(known)
    for name in names:
        if name in candidates:
            continue
        close = difflib.get_close_matches(name, candidates, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(candidates)}"
        raise ConfigError(f"{place} {name!r} is not known; {hint}")


def _parse(name: str, value: _Value) -> object:
    try:
        return PARSERS[name](value.content)
    except ValueError as error:
        raise ConfigError(f"{value.origin}: {error}") from error


def _default_state_dir(environment: Mapping[str, str]) -> Path:
    return user_folder(environment, "XDG_STATE_HOME", ".local/state") / "bsadvise"


def _default_socket(environment: Mapping[str, str], state_dir: Path) -> Path:
    runtime_dir = environment.get("XDG_RUNTIME_DIR", "")
    # Relative paths are ignored, as the XDG specification has it.
    directory = Path(runtime_dir) / "bsadvise" if runtime_dir.startswith("/") else state_dir
    return directory / "bsadvise.sock"
