"""The client that a command's flags ask for, and what a daemon that is started here reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bsadvise.client import Client
from bsadvise.transport.credentials import Credentials, read_token

_CREDENTIALS = "bsadvise.transport.credentials"


def keep_credential(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Keep what a flag says for ``open_client``."""
    if path is not None:
        ctx.meta.setdefault(_CREDENTIALS, {})[param.name] = path


def open_client(address: str | None) -> Client:
    """Return a client with the credentials that the flags of the command name."""
    files: dict[str, Any] = dict(click.get_current_context().meta.get(_CREDENTIALS, {}))
    token_file = files.pop("token_file", None)
    credentials = replace(Credentials.from_environment(), **files)
    if token_file is not None:
        credentials = replace(credentials, token=read_token(token_file))
    return Client(address, credentials=credentials, config_path=_config_path())


def config_flags() -> tuple[str, ...]:
    """Return what has a daemon that is started here read the file that ``--config`` names."""
    path = _config_path()
    return () if path is None else ("--config", str(path))


def _config_path() -> Path | None:
    path: Path | None = click.get_current_context().find_root().params.get("config")
    return path
