"""One ``bsadvise.toml`` for both sides: the real command line and the daemon that it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest
from bsadvise.cli.main import cli
from bsadvise.configuration import ConfigUnusable, read_config

from advisor.config.loading import load_settings
from advisor.config.settings import Settings

PROGRAM = Path(sys.executable).with_name("bsadvise")

MODEL = """
import torch

def build_model():
    return torch.nn.Linear(4, 1)

def make_batch(batch_size):
    return torch.zeros(batch_size, 4), torch.zeros(batch_size, 1)
"""

DAEMON = """
[daemon]
sandbox = "off"
"""

IN_TABLES = """
[client]
device = "l4"

[client.estimate]
memory-limit = "64MiB"
margin = 0
"""

AT_THE_TOP = """
device = "l4"

[estimate]
memory-limit = "64MiB"
margin = 0
"""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("client", [IN_TABLES, AT_THE_TOP], ids=["in tables", "at the top"])
def test_a_client_and_its_private_daemon_read_one_file(client: str) -> None:
    Path("model.py").write_text(MODEL)
    Path("both.toml").write_text(client + DAEMON)

    finished = _run("--config", "both.toml", "estimate", "model.py", "--output", "json")

    assert finished.returncode == 0, finished.stderr
    estimate = json.loads(finished.stdout)
    assert "L4" in estimate["device"]
    assert int(estimate["budget_bytes"]) == 64 << 20


def test_a_private_daemon_reads_its_table_of_the_file_that_is_named() -> None:
    Path("bsadvise.toml").write_text("[daemon]\nlease_s = 0\n")
    Path("other.toml").write_text(IN_TABLES + DAEMON)

    finished = _run("--config", "other.toml", "doctor")

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "off: model files reach all that their daemon can" in finished.stdout


def test_a_mistake_in_the_daemons_table_is_told_by_the_client_that_starts_it() -> None:
    Path("other.toml").write_text(IN_TABLES + "[daemon]\nlease = 3\n")

    finished = _run("--config", "other.toml", "devices")

    assert finished.returncode == 5
    assert "[daemon] 'lease' is not known; did you mean 'lease_s'?" in finished.stderr


def test_the_users_own_file_is_for_every_command_the_daemons_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config/bsadvise").mkdir(parents=True)
    (tmp_path / "config/bsadvise/bsadvise.toml").write_text(IN_TABLES + DAEMON)

    checked, daemon = _run("doctor"), _run("serve", "--check")

    assert "off: model files reach all that their daemon can" in checked.stdout
    assert (daemon.returncode, "sandbox='off'" in daemon.stderr) == (0, True), daemon.stderr


def test_a_daemon_does_not_start_beside_a_table_that_it_would_not_obey() -> None:
    Path("bsadvise.toml").write_text(DAEMON)

    finished = _run("serve", "--check")

    assert finished.returncode == 1
    assert "name the file with --config bsadvise.toml" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert _run("--config", "bsadvise.toml", "serve", "--check").returncode == 0


def test_a_private_daemon_takes_nothing_from_the_working_directory() -> None:
    Path("bsadvise.toml").write_text("[daemon]\nlease_s = 0\n")  # It would refuse to start.
    program = "import bsadvise\nwith bsadvise.Client() as c:\n    print(len(c.devices()))"
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def _names(command: click.Command) -> set[str]:
    flags = {flag.removeprefix("--") for param in command.params for flag in param.opts}
    inside = command.commands if isinstance(command, click.Group) else {}
    return flags.union(inside, *map(_names, inside.values()))


def test_nothing_of_the_clients_is_taken_for_the_daemons(tmp_path: Path) -> None:
    names = _names(cli)
    assert not {name.replace("-", "_") for name in names} & {one.name for one in fields(Settings)}
    path = tmp_path / "all.toml"
    path.write_text("".join(f'"{name}" = 1\n' for name in sorted(names)))
    load_settings({}, {}, path)


def test_a_file_too_large_for_settings_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bsadvise.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigUnusable, match="more than 1,048,576 bytes"):
        read_config(path)
