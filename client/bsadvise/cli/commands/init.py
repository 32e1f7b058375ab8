"""``bsadvise init``: a commented file of settings, and a model file from a script."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from bsadvise.cli.options import UserPath
from bsadvise.cli.render.output import say, say_aside
from bsadvise.configuration import ADVICE_KEYS, CONFIG_NAME
from bsadvise.exports.model_file import model_file
from bsadvise.model.errors import BsadviseError, SourceUnusable
from bsadvise.paths import HomeMissing, user_folder

_EXAMPLES = {
    "address": '"gpu-server:50051"',
    "batch": "64",
    "budget": '"5m"',
    "data-path": '["data"]',
    "device": '"cuda:0"',
    "device-hour-price": "2.50",
    "effective-batch-size": "256",
    "gpus": "4",
    "include": '["data"]',
    "margin": '"512MiB"',
    "memory-limit": '"16GiB"',
    "model-class": '"Classifier"',
    "objective": '"samples"',
    "prior": '"principal"',
    "priority": '"low"',
    "schedule": '"cosine"',
    "seed": "1",
    "set": '["width=512"]',
    "target-loss": "2.2",
    "train-for": '"90epochs"',
    "trials": "8",
    "warmup": '"2%"',
}
"""A value of each setting that is no plain flag, as TOML has it."""

_USERS_KEYS = frozenset({"address", "explain", "no-color", "quiet"})
"""Those that a folder's own file has no say in."""

_WIDTH = 96


@click.command()
@click.argument("script", type=UserPath(exists=True, dir_okay=False), required=False)
@click.option("--user", is_flag=True, help="Your own file of settings, not this folder's.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.pass_context
def init(ctx: click.Context, script: Path | None, *, user: bool, force: bool) -> None:
    """Write a commented bsadvise.toml; for a SCRIPT, also a model file to begin from.

    The script is read, not run. `bsadvise recommend` takes it as it is, too: a model file is for
    who wants to say more than a script does.
    """
    texts = {_users_place() if user else Path(CONFIG_NAME): configuration(ctx, is_users=user)}
    if script is not None:
        path = script.with_name(f"{script.stem}_model.py")
        texts[path] = _model_file(script, path.name)
    there = [path for path in texts if path.exists()]
    if len(there) == len(texts) and not force:
        names = " and ".join(map(str, there))
        raise BsadviseError(f"{names} {'is' if len(there) == 1 else 'are'} there: --force replaces")
    for path, text in texts.items():
        if path in there and not force:
            say_aside(f"{path} is left as it is: --force replaces it")
            continue
        _write(path, text)
        say(f"{path} is written")


def configuration(ctx: click.Context, *, is_users: bool) -> str:
    """Return a file of settings in which each is commented out.

    Args:
        ctx: Of a command, whose group has the commands that the settings are for.
        is_users: Whether it is the user's own, which has a say in more.
    """
    whose = "yours, for every folder" if is_users else "for commands in this folder"
    lines = [
        f"# Defaults of bsadvise's flags, {whose}. Remove a # to have one.",
        "# A flag wins over a BSADVISE_* variable, and this over the file.",
        "",
        "[client]",
    ]
    for key, text, example in _settings(
        ctx, ADVICE_KEYS | _USERS_KEYS if is_users else ADVICE_KEYS
    ):
        lines += [
            "",
            *textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# "),
            f"# {key} = {example}",
        ]
    if is_users:
        lines += ["", "# Settings of daemons, as in docs/operations.md.", "# [daemon]"]
        lines += ['# sandbox = "landlock"']
    return "\n".join(lines) + "\n"


def _settings(ctx: click.Context, keys: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """Yield settings with what they do and a value, in the order in which commands have them."""
    group = ctx.find_root().command
    commands = group.commands.values() if isinstance(group, click.Group) else ()
    seen: set[str] = set()
    for param in (param for command in commands for param in command.params):
        for flag in param.opts:
            key = flag.removeprefix("--")
            if isinstance(param, click.Option) and key in keys - seen:
                seen.add(key)
                example = "true" if param.is_flag else _EXAMPLES.get(key, '"..."')
                yield key, param.help or "", example


def _users_place() -> Path:
    try:
        return user_folder(os.environ, "XDG_CONFIG_HOME", ".config") / "bsadvise" / CONFIG_NAME
    except HomeMissing as error:
        raise BsadviseError(f"there is no place for your own {CONFIG_NAME}: {error}") from error


def _model_file(script: Path, name: str) -> str:
    try:
        return model_file(script.read_text(encoding="utf-8"), script.name, name)
    except SyntaxError as error:
        raise SourceUnusable(
            f"{script.name}:{error.lineno}: {error.msg}; correct it, then ask again"
        ) from error
    except (OSError, ValueError) as error:
        raise SourceUnusable(f"{script} cannot be read as Python: {error}") from error


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BsadviseError(f"{path} cannot be written: {error.strerror}") from error
