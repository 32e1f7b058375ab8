"""The daemon's settings: flags over ``BSADVISE_*`` variables over ``bsadvise.toml`` over defaults.

Every wrong value is reported with the place that it came from.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

ENVIRONMENT_PREFIX = "BSADVISE_"
FILE_NAME = "bsadvise.toml"
TABLE = "daemon"
_OTHER_TABLES = ("client",)
"""The client reads the same file."""

LOG_FORMATS = ("auto", "console", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
SANDBOXES = ("auto", "off", "landlock", "bwrap")

SHORTEST_LEASE_S = 1.0


class ConfigError(Exception):
    """A setting is wrong; the message says which and where it was set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a daemon is told at its start.

    Attributes:
        state_dir: Directory of the database, the sources and the checkpoints.
        socket: Unix socket to listen on.
        listen: ``host:port`` to listen on beside the socket; None for none. Without TLS it must
            be on loopback.
        tls_cert: The daemon's certificate for ``listen``, PEM.
        tls_key: Its private key, PEM.
        tls_client_ca: The authority whose certificates clients must show; None for tokens alone.
        trust_loopback: Whether every process of this machine may do all over ``listen`` without
            TLS, with no token.
        reflection: Whether clients may ask for the contract.
        max_queued: Recommendations that a principal may have waiting.
        device_s_per_day: Seconds of devices that a principal may use within 24 hours.
        upload_bytes_per_day: Bytes of new sources that a principal may send within 24 hours.
        cache_is_shared: Whether an answer that was found for one principal is given to others.
        private: Whether the daemon serves the client that started it alone.
        database: URL of a database that several daemons share, as SQLAlchemy writes it; None for
            an SQLite file in the state directory.
        host_name: Whose devices these are in a database that several machines share. Daemons of
            one name take over each other's work, and need one state directory.
        metrics_listen: ``host:port`` on which Prometheus is answered; None for none.
        otel_endpoint: Where a collector takes traces, OTLP over HTTP, such as
            ``http://localhost:4318``; None for what OpenTelemetry's own variables say.
        keep_days: Days after which a recommendation that has ended is removed.
        keep_count: The most recommendations that have ended to keep.
        keep_source_bytes: The most bytes of uploaded sources to keep.
        sandbox: What confines user code: "off", "landlock", "bwrap", or "auto" for the strongest
            that works here.
        data_paths: What strangers' model files may read in a sandbox. The user's own may read
            all but keys and tokens.
        allow_network: Whether user code in a sandbox may open connections.
        pythons: The interpreters that requests may name; a private daemon's may name any.
        worker_memory_bytes: The machine's memory that one request's processes may take; None for
            most of it.
        worker_scratch_bytes: The disk that their temporary files may take; None for half of what
            is free.
        worker_processes: How many there may be.
        lease_s: Seconds after which the work of a daemon that has fallen silent is taken over.
        log_format: "json", "console", or "auto": console on a terminal.
        log_level: The least severe messages to log.
    """

    state_dir: Path
    socket: Path
    listen: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    trust_loopback: bool = False
    reflection: bool = False
    max_queued: int | None = 1000
    device_s_per_day: float | None = None
    upload_bytes_per_day: int | None = 4 << 30
    cache_is_shared: bool = False
    private: bool = False
    database: str | None = field(default=None, repr=False)  # it may hold a password
    host_name: str = ""
    metrics_listen: str | None = None
    otel_endpoint: str | None = None
    keep_days: float = 90.0
    keep_count: int = 10_000
    keep_source_bytes: int = 4 << 30
    sandbox: str = "auto"
    data_paths: tuple[Path, ...] = ()
    allow_network: bool = False
    pythons: tuple[Path, ...] = ()
    worker_memory_bytes: int | None = None
    worker_scratch_bytes: int | None = None
    worker_processes: int = 512
    lease_s: float = 30.0
    log_format: str = "auto"
    log_level: str = "info"


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
        config_path: The file to read; None to look in the usual places.

    Raises:
        ConfigError: A value is wrong, a key is unknown, or a file cannot be read.
    """
    values: dict[str, _Value] = {}
    path = _find_file(environment, config_path)
    if path is not None:
        values.update(_read_file(path))
    for field in fields(Settings):
        variable = ENVIRONMENT_PREFIX + field.name.upper()
        if environment.get(variable):
            values[field.name] = _Value(environment[variable], variable)
        if flags.get(field.name) is not None:
            flag = "--" + field.name.replace("_", "-")
            values[field.name] = _Value(flags[field.name], flag)
    known: dict[str, Any] = {name: _parse(name, value) for name, value in values.items()}
    state_dir = known.setdefault("state_dir", _default_state_dir(environment))
    known.setdefault("socket", _default_socket(environment, state_dir))
    settings = Settings(**known)
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigError("tls_cert and tls_key go together; one of them is missing")
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        raise ConfigError("tls_client_ca needs tls_cert and tls_key")
    if settings.tls_cert is not None and settings.listen is None:
        raise ConfigError("tls_cert and tls_key are for listen, which is missing")
    if settings.tls_cert is not None and settings.trust_loopback:
        raise ConfigError("trust_loopback is for plain text; it excludes tls_cert and tls_key")


def _find_file(environment: Mapping[str, str], config_path: Path | None) -> Path | None:
    variable = ENVIRONMENT_PREFIX + "CONFIG"
    if config_path is None and environment.get(variable):
        config_path = Path(environment[variable])
    if config_path is not None:
        return config_path
    home = _directory(environment, "XDG_CONFIG_HOME", ".config")
    places = (Path(FILE_NAME), home / "bsadvise" / FILE_NAME)
    return next((place for place in places if place.is_file()), None)


def _read_file(path: Path) -> Iterator[tuple[str, _Value]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    _check_known(content, (TABLE, *_OTHER_TABLES), f"{path}: table")
    table = content.get(TABLE, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {TABLE} must be a table")
    _check_known(table, [field.name for field in fields(Settings)], f"{path}: [{TABLE}]")
    for name, value in table.items():
        yield name, _Value(value, f"{path}: [{TABLE}] {name}")


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
        return _PARSERS[name](value.content)
    except ValueError as error:
        raise ConfigError(f"{value.origin}: {error}") from error


def _text(content: object) -> str:
    if not isinstance(content, str) or not content:
        raise ValueError(f"must be text, not {content!r}")
    return content


def _path(content: object) -> Path:
    if isinstance(content, Path):
        return content.absolute()
    return Path(_text(content)).expanduser().absolute()


def _paths(content: object) -> tuple[Path, ...]:
    """Return paths out of a list, or out of one text as in PATH."""
    if isinstance(content, str):
        content = [part for part in content.split(os.pathsep) if part]
    if not isinstance(content, list) or not all(content):
        raise ValueError(f"must be a list of paths, not {content!r}")
    return tuple(_path(part) for part in content)


def _flag(content: object) -> bool:
    if isinstance(content, bool):
        return content
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if not isinstance(content, str) or content.lower() not in words:
        raise ValueError(f"must be true or false, not {content!r}")
    return words[content.lower()]


def _lease_s(content: object) -> float:
    try:
        lease_s = float(str(content))
    except ValueError:
        raise ValueError(f"must be a number of seconds, not {content!r}") from None
    if not SHORTEST_LEASE_S <= lease_s <= 3600:
        raise ValueError(f"must be {SHORTEST_LEASE_S:g} to 3600 seconds, not {content}")
    return lease_s


def _keep_days(content: object) -> float:
    try:
        days = float(str(content))
    except ValueError:
        raise ValueError(f"must be a number of days, not {content!r}") from None
    if not 0.0 < days < float("inf"):
        raise ValueError(f"must be more than 0 days, not {content}")
    return days


def _count(content: object) -> int:
    if isinstance(content, bool) or not str(content).isdecimal():
        raise ValueError(f"must be a whole number, at least 0, not {content!r}")
    return int(str(content))


def _limit(content: object) -> int | None:
    """Return a whole number of at least 0; None for "none"."""
    if content == "none":
        return None
    if isinstance(content, bool) or not str(content).isdecimal():
        raise ValueError(f'must be a whole number of at least 0, or "none", not {content!r}')
    return int(str(content))


def _sandbox(content: object) -> str:
    return _one_of(content, SANDBOXES)


def _log_format(content: object) -> str:
    return _one_of(content, LOG_FORMATS)


def _log_level(content: object) -> str:
    return _one_of(content, LOG_LEVELS)


def _host_and_port(content: object) -> str:
    host, _, port = _text(content).rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"must be HOST:PORT, not {content!r}")
    return _text(content)


def _http_url(content: object) -> str:
    if not _text(content).startswith(("http://", "https://")):
        raise ValueError(f"must begin with http:// or https://, not {content!r}")
    return _text(content)


def _one_of(content: object, choices: tuple[str, ...]) -> str:
    if content not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}, not {content!r}")
    return _text(content)


_PARSERS = {
    "state_dir": _path,
    "socket": _path,
    "listen": _text,
    "tls_cert": _path,
    "tls_key": _path,
    "tls_client_ca": _path,
    "trust_loopback": _flag,
    "reflection": _flag,
    "max_queued": _limit,
    "device_s_per_day": _limit,
    "upload_bytes_per_day": _limit,
    "cache_is_shared": _flag,
    "private": _flag,
    "database": _text,
    "host_name": _text,
    "metrics_listen": _host_and_port,
    "otel_endpoint": _http_url,
    "keep_days": _keep_days,
    "keep_count": _count,
    "keep_source_bytes": _count,
    "sandbox": _sandbox,
    "data_paths": _paths,
    "allow_network": _flag,
    "pythons": _paths,
    "worker_memory_bytes": _limit,
    "worker_scratch_bytes": _limit,
    "worker_processes": _count,
    "lease_s": _lease_s,
    "log_format": _log_format,
    "log_level": _log_level,
}


def _default_state_dir(environment: Mapping[str, str]) -> Path:
    return _directory(environment, "XDG_STATE_HOME", ".local/state") / "bsadvise"


def _default_socket(environment: Mapping[str, str], state_dir: Path) -> Path:
    runtime_dir = environment.get("XDG_RUNTIME_DIR")
    directory = Path(runtime_dir) / "bsadvise" if runtime_dir else state_dir
    return directory / "bsadvise.sock"


def _directory(environment: Mapping[str, str], variable: str, below_home: str) -> Path:
    value = environment.get(variable, "")
    # The XDG specification has relative paths ignored.
    if value.startswith("/"):
        return Path(value)
    return Path(environment.get("HOME") or Path.home()) / below_home
