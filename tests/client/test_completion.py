"""What shells complete: commands, flags, and what a running daemon has; quietly and soon."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from bsadvise.cli import completing
from bsadvise.cli.main import cli
from bsadvise.model.cards import CARD_NAMES
from bsadvise.transport import launcher
from click.shell_completion import BashComplete
from click.testing import CliRunner

from advisor.devices.catalogue import CARDS
from tests.support.fake_server import FakeDaemon, a_script


def completed(*words: str) -> dict[str, str | None]:
    """Return what is offered for the last of the words, with the help beside it."""
    shell = BashComplete(cli, {}, "bsadvise", "_BSADVISE_COMPLETE")
    return {item.value: item.help for item in shell.get_completions([*words[:-1]], words[-1])}


@pytest.fixture(autouse=True)
def _a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "LIMIT_S", 60.0)


@pytest.fixture
def address(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("BSADVISE_ADDRESS", daemon.address)
    return daemon.address


def test_commands_and_flags_complete() -> None:
    assert {"recommend", "jobs", "completion"} <= completed("").keys()
    assert set(completed("recommend", "--no-t")) == {"--no-trials"}
    assert "lightning" in completed("recommend", "--output", "l")


@pytest.mark.usefixtures("address")
def test_jobs_complete_with_their_state(daemon: FakeDaemon) -> None:
    daemon.seed(a_script(), a_script()[:2])
    assert completed("jobs", "show", "") == {
        "job-2": "running model.py",
        "job-1": "succeeded model.py",
    }
    assert set(completed("jobs", "cancel", "job-2")) == {"job-2"}


@pytest.mark.usefixtures("address")
def test_devices_complete_with_their_names(daemon: FakeDaemon) -> None:
    offered = completed("recommend", "--device", "")
    assert offered["cuda:0"] == offered["GPU-1"] == "A GPU"
    assert {"auto", "cpu", "a100-80gb"} <= offered.keys()
    assert set(completed("estimate", "--device", "a100")) == {"a100-40gb", "a100-80gb"}
    assert set(completed("estimate", "--device", "c")) == {"cpu", "cuda:0"}


def test_all_cards_complete() -> None:
    assert CARDS.keys() == CARD_NAMES.keys()


@pytest.mark.usefixtures("address")
def test_a_name_that_is_more_than_a_word_is_not_offered(daemon: FakeDaemon) -> None:
    (job,) = daemon.seed(a_script())
    recommendation = daemon.recommendation(job)
    recommendation.request.source.entry_path = "\x1b[2Jm\n.py"
    assert completed("jobs", "show", "") == {job: r"succeeded \x1b[2Jm .py"}
    for name in ("$(reboot)", "a b", "a\nfile\nb", "\x1b[2J", ""):
        recommendation.recommendation_id = name
        assert completed("jobs", "show", "") == {}


def test_no_daemon_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "PrivateDaemon", lambda **_: pytest.fail("it was"))
    assert completed("jobs", "show", "") == {}
    assert {"auto", "cpu", "t4"} <= completed("recommend", "--device", "").keys()
    assert completed("jobs", "show", "--address", "127.0.0.1:1", "") == {}


def test_the_users_file_says_which_daemon(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text(f'[client]\naddress = "{daemon.address}"\n')
    monkeypatch.setenv("BSADVISE_CONFIG", str(config))
    daemon.seed(a_script())
    assert set(completed("jobs", "show", "")) == {"job-1"}


def run_in(shell: str, script: str, address: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [shell, "-c", script], env={**os.environ, "BSADVISE_ADDRESS": address, "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_real_bash_completes(daemon: FakeDaemon) -> None:
    # What needs no daemon: how soon one answers is not for a test.
    done = run_in(
        "bash",
        'eval "$(bsadvise completion bash)"; COMP_WORDS=(bsadvise jobs sh); COMP_CWORD=2; '
        '_bsadvise_completion bsadvise; echo "${COMPREPLY[@]}"',
        daemon.address,
    )
    assert (done.stdout, done.stderr) == ("show\n", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_what_other_shells_read_is_theirs(shell: str) -> None:
    printed = CliRunner().invoke(cli, ["completion", shell])
    assert printed.exit_code == 0
    assert f"_BSADVISE_COMPLETE={shell}_complete" in printed.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=printed.stdout, text=True, check=False)
        assert checked.returncode == 0


def test_an_unknown_shell_is_told_which_there_are() -> None:
    refused = CliRunner().invoke(cli, ["completion"], env={"SHELL": "/bin/tcsh"})
    assert refused.exit_code == 1
    assert "tcsh cannot be told" in refused.stderr
    assert CliRunner().invoke(cli, ["completion"], env={"SHELL": "/bin/zsh"}).exit_code == 0


def test_a_daemon_that_does_not_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        script = (
            "COMP_WORDS='bsadvise jobs show ' COMP_CWORD=3 "
            "_BSADVISE_COMPLETE=bash_complete bsadvise"
        )
        done = run_in("bash", script, f"127.0.0.1:{silent.getsockname()[1]}")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
