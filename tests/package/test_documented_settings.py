"""Documents name the settings that there are: each of them, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from bsadvise.cli.main import cli
from bsadvise.configuration import ADVICE_KEYS

from advisor.__main__ import make_parser
from advisor.config.loading import ENVIRONMENT_PREFIX, load_settings
from advisor.config.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "deploy" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
SETTINGS = {field.name for field in fields(Settings)}
OF_A_CLIENT = {"private"}
"""What the command line tells the daemon that it starts; nobody else gives it."""
VARIABLES_BESIDE_FLAGS = {
    "BSADVISE_TOKEN", "BSADVISE_CA_FILE", "BSADVISE_DEBUG", "BSADVISE_IMAGE", "BSADVISE_OBSERVED",
}  # fmt: skip
"""Secrets are no flags; the image is deploy/compose.yaml's, and workers set the last."""


def blocks(path: Path) -> Iterator[str]:
    """Yield a document's blocks of code, indented or fenced, without their margins."""
    text = path.read_text(encoding="utf-8")
    yield from re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for block in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE):
        yield re.sub(r"^ {4}", "", block, flags=re.MULTILINE)


def code(path: Path) -> str:
    """Return all of a document that is set as code, a piece a line."""
    spans = re.findall(r"`([^`\n]+)`", path.read_text(encoding="utf-8"))
    return "\n".join((*spans, *blocks(path)))


def daemon_blocks() -> Iterator[tuple[str, str]]:
    """Yield the blocks that set something of a daemon, with the name of their document."""
    for path in DOCUMENTS:
        for block in blocks(path):
            if "[daemon]" in block:
                yield path.name, block


def flags_of(command: click.Command) -> set[str]:
    """Return the flags of a command and of those below it."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    own = {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)}
    return own.union({"--help"}, *map(flags_of, below))


def daemon_flags() -> dict[str, str]:
    """Return the daemon's flags with the settings that they set."""
    return {
        flag: action.dest for action in make_parser()._actions for flag in action.option_strings
    }


KNOWN_FLAGS = flags_of(cli) | set(daemon_flags()) | {"--build-arg", "--profile"}
"""The last two are Docker's."""


@pytest.mark.parametrize("name", sorted(SETTINGS - OF_A_CLIENT))
def test_every_setting_is_documented(name: str) -> None:
    flags = [flag for flag, setting in daemon_flags().items() if setting == name]
    names = "|".join((name, ENVIRONMENT_PREFIX + name.upper(), *flags))
    assert re.search(rf"(?<![\w-])({names})(?![\w-])", "\n".join(map(code, DOCUMENTS)))


@pytest.mark.parametrize(("document", "block"), list(daemon_blocks()))
def test_documented_settings_are_taken(document: str, block: str, tmp_path: Path) -> None:
    path = tmp_path / "bsadvise.toml"
    path.write_text(block, encoding="utf-8")
    environment = {"HOME": str(tmp_path)}
    settings = load_settings({}, environment, path)
    if document == "security.md":  # It shows the defaults.
        assert settings == load_settings({}, environment)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documented_flags_and_variables_are_there(path: Path) -> None:
    # What follows a lone --, or is quoted, is the user's own script's.
    text = re.sub(r"'[^'\n]*'", "''", code(path))
    commands = re.findall(r"^(?:bsadvise|--)(?:(?! -- )[^\n`])*", text, re.MULTILINE)
    flags = {flag for line in commands for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line)}
    assert flags <= KNOWN_FLAGS
    variables = {f"BSADVISE_{name.upper()}" for name in SETTINGS} | VARIABLES_BESIDE_FLAGS
    variables |= {f"BSADVISE_{flag[2:].upper().replace('-', '_')}" for flag in KNOWN_FLAGS}
    named = re.findall(r"BSADVISE_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8"))
    assert set(named) <= variables


def test_what_a_working_directory_may_set_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    paragraph = text.partition("**The working directory.**")[2].partition("nothing else is")[0]
    assert set(re.findall(r"`([a-z-]+)`", paragraph)) == ADVICE_KEYS
