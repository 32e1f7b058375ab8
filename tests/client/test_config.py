"""Flags win over variables, variables over the file, the file over defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
from bsadvise.cli.main import cli
from bsadvise.configuration import ADVICE_KEYS
from bsadvise.printable import printable
from bsadvise.v1.memory_service_pb2 import EstimateMemoryRequest
from bsadvise.v1.recommendation_pb2 import AdviceRequest
from bsadvise.v1.recommendation_service_pb2 import CreateRecommendationRequest
from click.testing import CliRunner

from tests.support.fake_server import FakeDaemon

CONFIG = """
device = "cuda:0"
seed = 1

[recommend]
memory-limit = "4GiB"
budget = 90
no_trials = true
set = ["width=8"]
seed = 2

[jobs.list]
limit = 3
"""


def ask(daemon: FakeDaemon, model_file: Path, *flags: str, **variables: str) -> AdviceRequest:
    variables = {"BSADVISE_ADDRESS": daemon.address, **variables}
    result = CliRunner().invoke(cli, ["recommend", str(model_file), *flags], env=variables)
    assert result.exit_code == 0, result.output
    (*_, last) = (r for r in daemon.requests if isinstance(r, CreateRecommendationRequest))
    return last.request


def test_the_file_is_read_where_the_command_is_run(daemon: FakeDaemon, model_file: Path) -> None:
    Path("bsadvise.toml").write_text(CONFIG)

    request = ask(daemon, model_file)

    assert request.device == "cuda:0"
    assert request.memory_limit_bytes == 4 << 30
    assert request.budget_s == 90
    assert request.max_trials == 0
    assert request.HasField("max_trials")
    assert request.build_kwargs == {"width": "8"}
    assert request.seed == 2


def test_the_clients_table_is_read_as_the_top_of_the_file_is(
    daemon: FakeDaemon, model_file: Path
) -> None:
    Path("bsadvise.toml").write_text(CONFIG)
    at_top = ask(daemon, model_file)
    tables = CONFIG.replace("[recommend]", "[client.recommend]").replace("[jobs", "[client.jobs")
    Path("bsadvise.toml").write_text(f"[client]\n{tables}\n[daemon]\nlease_s = 3\n")

    assert ask(daemon, model_file) == at_top


def test_the_clients_table_wins_over_the_top_of_the_file(
    daemon: FakeDaemon, model_file: Path
) -> None:
    Path("bsadvise.toml").write_text(
        "seed = 1\nno_trials = true\ndevice = 'cpu'\n[recommend]\nbudget = 9\ngpus = 2\n"
        "[client]\nseed = 2\nno-trials = false\ntrials = 5\n[client.recommend]\nbudget = 8\n"
    )
    request = ask(daemon, model_file)

    assert (request.seed, request.max_trials, request.budget_s) == (2, 5, 8)
    assert (request.device, request.world_size) == ("cpu", 2)


def test_each_source_wins_over_the_next(daemon: FakeDaemon, model_file: Path) -> None:
    Path("bsadvise.toml").write_text(CONFIG)

    by_variable = ask(daemon, model_file, BSADVISE_MEMORY_LIMIT="5GiB", BSADVISE_SET="depth=2")
    by_flag = ask(daemon, model_file, "--memory-limit", "6GiB", BSADVISE_MEMORY_LIMIT="5GiB")

    assert by_variable.memory_limit_bytes == 5 << 30
    assert by_variable.build_kwargs == {"depth": "2"}
    assert by_flag.memory_limit_bytes == 6 << 30
    assert by_flag.seed == 2


def test_another_file_can_be_named(daemon: FakeDaemon, model_file: Path) -> None:
    Path("other.toml").write_text("seed = 9")

    assert ask(daemon, model_file, BSADVISE_CONFIG="other.toml").seed == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("memory_limt = '1GiB'", "memory_limt"),
        ("[recommend]\nlimit = 3", "limit"),
        ("[recomend]\nseed = 3", "recomend"),
        ("= 3", "bsadvise.toml"),
        ("[client]\nmemory_limt = '1GiB'", "[client]: no setting is called 'memory_limt'"),
        ("[client.recommend]\nlimit = 3", "[client], [recommend]: no setting is called 'limit'"),
        ("client = 3", "client must be a table"),
        ("[deamon]\nlease_s = 3", "deamon"),
    ],
)
def test_a_mistake_in_the_file_is_wrong_usage(model_file: Path, text: str, words: str) -> None:
    Path("bsadvise.toml").write_text(text)

    result = CliRunner().invoke(cli, ["recommend", str(model_file)])

    assert result.exit_code == 2
    assert words in result.stderr


def test_one_device_in_the_file_serves_a_flag_that_takes_several(
    daemon: FakeDaemon, model_file: Path
) -> None:
    Path("bsadvise.toml").write_text("device = 'l4'\naddress = 'unused'")
    environment = {"BSADVISE_ADDRESS": daemon.address}

    result = CliRunner().invoke(cli, ["estimate", str(model_file)], env=environment)

    assert result.exit_code == 0, result.stderr
    sent = daemon.requests[-1]
    assert isinstance(sent, EstimateMemoryRequest)
    assert sent.request.device == "l4"


OWN = "config/bsadvise/bsadvise.toml"


@pytest.fixture
def own_file(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own file of settings; its folder is there."""
    path = Path(OWN).absolute()
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(path.parents[1]))
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("address = '{other}'", "address"),
        ("[client]\ntoken_file = 'token'", "token_file"),
        ("[recommend]\npython = '/repo/python'", "[recommend] python"),
        ("[client.estimate]\nsave = 'x.json'", "[estimate] save"),
        ("[daemon]\nsandbox = 'off'", "[daemon]"),
        ("ca-file = 'x'\n[jobs.list]\nlimit = 3", "ca-file, [jobs] [list] limit"),
    ],
)
def test_the_working_directory_decides_no_more_than_what_is_asked_for(
    daemon: FakeDaemon, model_file: Path, own_file: Path, text: str, names: str
) -> None:
    own_file.write_text(f"address = {daemon.address!r}\n")
    other = "127.0.0.1:1"  # Nobody is there; a call to it would fail.
    Path("bsadvise.toml").write_text("seed = 7\n" + text.format(other=other))

    result = CliRunner().invoke(cli, ["recommend", str(model_file)])

    assert result.exit_code == 0, result.output
    (asked,) = (r for r in daemon.requests if isinstance(r, CreateRecommendationRequest))
    assert (asked.request.seed, asked.request.python) == (7, "")
    (warning,) = (line for line in result.stderr.splitlines() if "ignored" in line)
    assert f": {names} ignored; for these name a file with --config" in warning
    named = CliRunner().invoke(cli, ["--config", "bsadvise.toml", "recommend", str(model_file)])
    assert "ignored" not in named.stderr


def test_what_a_folder_may_decide_are_flags_of_what_is_asked_for() -> None:
    flags = {
        flag.removeprefix("--")
        for name in ("recommend", "estimate")
        for param in cli.commands[name].params
        for flag in param.opts
    }
    assert flags - ADVICE_KEYS == {
        "address", "token-file", "ca-file", "cert-file", "key-file", "python", "save", "output",
        "-o", "quiet", "-q", "request-id", "model", "diff", "write", "explain", "no-color",
        "report", "arguments", "command",
    }  # fmt: skip
    assert flags >= ADVICE_KEYS


def test_the_folders_defaults_go_before_the_users_own(
    daemon: FakeDaemon, model_file: Path, own_file: Path
) -> None:
    own_file.write_text("seed = 1\ndevice = 'cpu'\n[recommend]\nbudget = 5\n")
    Path("bsadvise.toml").write_text("seed = 2\nbudget = 9\n")

    request = ask(daemon, model_file)

    assert (request.seed, request.device, request.budget_s) == (2, "cpu", 9)


def test_the_users_own_file_is_not_less_in_its_folder(
    daemon: FakeDaemon, model_file: Path, own_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_file.write_text(f"address = {daemon.address!r}\n")
    monkeypatch.chdir(own_file.parent)
    result = CliRunner().invoke(cli, ["recommend", str(model_file)])
    assert (result.exit_code, "ignored" in result.stderr) == (0, False)


@pytest.mark.parametrize("path", ["/etc/hostname", "../x", "linked"])
def test_a_folder_includes_what_lies_in_it_alone(
    daemon: FakeDaemon, model_file: Path, path: str
) -> None:
    Path("linked").symlink_to("/etc")
    Path("bsadvise.toml").write_text(f"include = ['helper.py', {path!r}]")
    variables = {"BSADVISE_ADDRESS": daemon.address}
    result = CliRunner().invoke(cli, ["recommend", str(model_file)], env=variables)
    assert result.exit_code == 2
    assert f"include {path!r} leads out of the working directory" in result.stderr


@pytest.mark.parametrize("text", ["a = " + "[" * 10_000, "'\x1b[2J' = 1", "a = '\u202e"])
def test_a_hostile_file_is_one_sentence(model_file: Path, text: str) -> None:
    Path("bsadvise.toml").write_text(text)
    result = CliRunner().invoke(cli, ["recommend", str(model_file)])
    assert result.exit_code == 2
    assert "bsadvise.toml" in result.stderr
    assert printable(result.stderr) == result.stderr
