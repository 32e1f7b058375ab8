"""Reads the value of each setting, as a flag, a variable or a TOML file gives it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from bsadvise.paths import normalise

from advisor.config.settings import LOG_FORMATS, LOG_LEVELS, SANDBOXES, SHORTEST_LEASE_S


def _text(content: object) -> str:
    if not isinstance(content, str) or not content:
        raise ValueError(f"must be text, not {content!r}")
    return content


def _path(content: object) -> Path:
    return normalise(content if isinstance(content, Path) else _text(content))


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


def _seconds(least: float, most: float) -> Callable[[object], float]:
    """Return what reads a number of seconds within a range."""

    def read(content: object) -> float:
        try:
            duration_s = float(str(content))
        except ValueError:
            raise ValueError(f"must be a number of seconds, not {content!r}") from None
        if not least <= duration_s <= most:
            raise ValueError(f"must be {least:.12g} to {most:.12g} seconds, not {content}")
        return duration_s

    return read


def _number(least: int, most: int) -> Callable[[object], int]:
    """Return what reads a whole number within a range."""

    def read(content: object) -> int:
        number = _count(content)
        if not least <= number <= most:
            raise ValueError(f"must be {least} to {most}, not {content}")
        return number

    return read


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


PARSERS: Mapping[str, Callable[[object], object]] = {
    "state_dir": _path,
    "socket": _path,
    "listen": _text,
    "tls_cert": _path,
    "tls_key": _path,
    "tls_client_ca": _path,
    "tls_revoked": _path,
    "trust_loopback": _flag,
    "reflection": _flag,
    "max_connections": _number(1, 1_000_000),
    "max_connection_streams": _number(1, 10_000),
    "connection_idle_s": _seconds(1, 86_400),
    "handshake_s": _seconds(0.1, 120),
    "request_s": _seconds(0.1, 3600),
    "max_calls": _number(1, 100_000),
    "max_watches": _number(1, 100_000),
    "max_estimates": _number(1, 1000),
    "max_budget_s": _seconds(1, 31_536_000),
    "max_estimate_budget_s": _seconds(1, 86_400),
    "max_queued": _limit,
    "device_s_per_day": _limit,
    "upload_bytes_per_day": _limit,
    "kept_bytes": _limit,
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
    "accept_weak_sandbox": _flag,
    "data_paths": _paths,
    "allow_network": _flag,
    "pythons": _paths,
    "worker_memory_bytes": _limit,
    "worker_scratch_bytes": _limit,
    "worker_processes": _count,
    "lease_s": _seconds(SHORTEST_LEASE_S, 3600),
    "log_format": _log_format,
    "log_level": _log_level,
}
"""By the name of the setting. Each raises ValueError, whose message says what it must be."""
