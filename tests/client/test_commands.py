"""A command is taken apart into a script and its arguments, and goes with the programs it names."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from bsadvise.cli.commands.command_line import parse_command
from bsadvise.cli.main import cli
from bsadvise.exports.changes.finding import find_changes
from bsadvise.exports.changes.values import Sources
from bsadvise.model.errors import SourceUnusable
from bsadvise.model.observation import Quantity
from bsadvise.model.placeholders import filled, placeholders
from bsadvise.model.request import EntryKind
from bsadvise.source.bundle import collect
from bsadvise.v1.source_service_pb2 import SourceBundle
from click.testing import CliRunner

from tests.support.builders import an_advice

BATCH, RATE = Quantity.MICRO_BATCH_SIZE, Quantity.LEARNING_RATE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text("import net\nnet.train()\n")
    (tmp_path / "net.py").write_text("def train(): pass\n")
    (tmp_path / "launch.py").write_text(
        "import subprocess\nsubprocess.run(['python', 'train.py'])\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_command_is_a_script_and_its_arguments(folder: Path) -> None:
    line = parse_command("python3 -u launch.py --out 'a b' --lr={lr=1e-3} {batch} '{\"x\": 1}'")
    assert line.script == folder / "launch.py"
    assert line.arguments == ("--out", "a b", "--lr={lr=1e-3}", "{batch}", '{"x": 1}')
    assert line.python is None
    assert parse_command("./bin/python train.py {batch}").python == str(folder / "bin/python")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must start Python"),
        ("bash run.sh {batch}", "starts with 'bash'"),
        ("torchrun train.py {batch}", "give the script that it starts"),
        ("X=1 python train.py {batch}", "such as setting variables"),
        ("python 'train.py {batch}", "is no command"),
        ("python", "not python alone"),
        ("python -m train {batch}", "not python -m"),
        ("python absent.py {batch}", "absent.py is no file"),
        ("python train.py --lr 0.1", "has no {batch}"),
        ("python train.py --lr {lr}", "has no {batch}"),
        ("python train.py {batch} {rate}", "{rate} is no placeholder; there are {batch}, {lr}"),
        ("python train.py {batch=small}", "{batch=small} gives no number"),
        ("python train.py {batch=1.5}", "a whole number above 0"),
        ("python train.py {batch} {lr=0}", "a number above 0"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_is_wrong_with_a_command_is_said(text: str, words: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        parse_command(text)
    assert words in raised.value.message


@pytest.mark.usefixtures("folder")
def test_a_command_stands_in_place_of_a_model() -> None:
    both = CliRunner().invoke(
        cli, ["recommend", "train.py", "--command", "python train.py {batch}"]
    )
    assert both.exit_code == 2
    assert "give no MODEL beside it" in both.output
    none = CliRunner().invoke(cli, ["recommend"])
    assert none.exit_code == 2
    assert "Missing argument 'MODEL'" in none.output
    wrong = CliRunner().invoke(cli, ["recommend", "--command", "make train"])
    assert "'--command'" in wrong.output


def test_programs_that_a_script_names_go_with_a_command(folder: Path) -> None:
    bundle = collect(folder / "launch.py", arguments=["--batch", "{batch}"])
    assert bundle.entry_kind is EntryKind.COMMAND
    files = {file.path for file in SourceBundle.FromString(bundle.content).files}
    assert files == {"launch.py", "train.py", "net.py"}
    assert collect(folder / "launch.py", arguments=["8"]).entry_kind is EntryKind.SCRIPT
    with pytest.raises(SourceUnusable, match="gives no number"):
        collect(folder / "launch.py", arguments=["{batch=x}"])


def test_a_placeholder_without_a_value_goes_with_its_flag() -> None:
    line = ("--bs", "{batch}", "--lr={lr}", "-v", "{accumulation=2}", "last")
    assert placeholders(line) == {BATCH: None, RATE: None, Quantity.ACCUMULATION_STEPS: 2}
    assert filled(line, {}) == ("-v", "2", "last")
    assert filled(line, {BATCH: "64", RATE: "0.1"}) == (
        "--bs", "64", "--lr=0.1", "-v", "2", "last"
    )  # fmt: skip
    assert filled(("bs={batch},lr={lr=0.5}",), {BATCH: "8"}) == ("bs=8,lr=0.5",)
    assert filled(("first", "{batch}"), {}) == ("first",)


def test_what_to_change_is_the_command_with_its_values() -> None:
    sources = Sources(
        entry_path="train.py",
        entry_kind=EntryKind.COMMAND,
        files={},
        arguments=("--bs", "{batch=16}", "--lr", "{lr}"),
    )
    changes = find_changes(an_advice(micro_batch_size=256, learning_rate=0.0125), sources)
    assert changes.command == "python train.py --bs 256 --lr 0.0125"
    assert [(one.where, one.before, one.after) for one in changes.values] == [
        ("{batch}", "16", "256"),
        ("{lr}", "{lr}", "0.0125"),
    ]
    assert changes.edits == ()
