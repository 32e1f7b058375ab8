"""The edge of printing: nothing is obeyed there, and no answer is lost for want of a place."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import bsadvise
import pytest
import yaml
from bsadvise import BsadviseError
from bsadvise.cli.main import cli
from bsadvise.cli.render.output import PrintableConsole, print_answer
from bsadvise.cli.render.views.layout import pairs, table_of
from bsadvise.printable import printable
from bsadvise.v1 import advice_pb2, measurement_pb2, recommendation_pb2
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group
from rich.text import Text

from tests.support.fake_server import FakeDaemon, a_script
from tests.support.wire_samples import a_refusal, state_changed

EVIL = "\x1b]0;owned\x07\x9b2J\u202etxet\u2066"


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_what_is_printable_has_no_control_characters(text: str) -> None:
    shown = printable(text)
    for char in shown:
        assert char in "\n\t\u200c\u200d" or unicodedata.category(char)[0] != "C" or (
            unicodedata.category(char) in ("Co", "Cn")
        )  # fmt: skip
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


def test_other_scripts_are_left_alone() -> None:
    for text in ("naïve 測試 می\u200cخواهم", "👩\u200d🔬\n\tok"):
        assert printable(text) == text


def test_a_console_shows_text_and_draws_itself() -> None:
    file = io.StringIO()
    console = PrintableConsole(file=file, force_terminal=True, width=100)
    console.print(Group(Text(EVIL, style="bold"), pairs([("name", EVIL)]), table_of((EVIL,), ())))
    drawn = file.getvalue()
    assert "\x1b[1m" in drawn  # rich's own
    assert drawn.count(r"\x1b]0;owned") == 3
    assert not {"\x9b", "\x07", "\u202e", "\u2066"} & set(drawn)


@given(st.text())
def test_programs_read_what_was_there(text: str) -> None:
    text = text.encode(errors="replace").decode()
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        with pytest.MonkeyPatch.context() as patch:
            written: list[str] = []
            patch.setattr("click.echo", lambda said, **_: written.append(said))  # noqa: B023
            print_answer({"name": text}, Text(""), output)
        assert read("".join(written)) == {"name": text}
        assert printable("".join(written)) == "".join(written)


def test_what_a_daemon_says_is_not_obeyed(daemon: FakeDaemon, model_file: Path) -> None:
    fault = measurement_pb2.Fault(
        code=measurement_pb2.FAULT_CODE_USER_EXCEPTION, message="m", traceback=EVIL, output=EVIL
    )
    refusal = a_refusal(advice_pb2.REFUSAL_CODE_MODEL_FILE, EVIL, fault=fault)
    daemon.script = a_script(end=state_changed(recommendation_pb2.STATE_FAILED, refusal=refusal))
    result = CliRunner().invoke(
        cli, ["recommend", str(model_file)], env={"BSADVISE_ADDRESS": daemon.address}
    )
    assert result.exit_code == 3
    assert result.stderr.count(r"\x1b]0;owned\x07\x9b2J\u202etxet\u2066") == 3
    assert printable(result.output) == result.output
    with bsadvise.Client(daemon.address) as client, pytest.raises(BsadviseError) as caught:
        client.recommend(model_file)
    assert printable(str(caught.value)) == str(caught.value)


def test_the_command_line_prints_at_its_edge_alone() -> None:
    folder = Path(bsadvise.__path__[0]) / "cli"
    echoing = {file.name for file in folder.rglob("*.py") if "click.echo" in file.read_text()}
    consoles = {file.name for file in folder.rglob("*.py") if "Console(" in file.read_text()}
    assert (echoing, consoles) == ({"output.py"}, {"output.py"})


def test_an_answer_that_cannot_be_saved_is_printed_first(
    daemon: FakeDaemon, model_file: Path
) -> None:
    Path("full.json").symlink_to("/dev/full")
    result = CliRunner().invoke(
        cli,
        ["recommend", str(model_file), "--save", "full.json"],
        env={"BSADVISE_ADDRESS": daemon.address},
    )
    assert result.exit_code == 1
    assert "batch 64 (32 x 2), lr 0.003" in result.stdout
    last = result.stderr.splitlines()[-1]
    assert "full.json cannot be written: No space left on device" in last
    assert last.endswith("bsadvise jobs show job-1 --save FILE")


def test_an_answer_that_cannot_be_printed_is_saved_all_the_same(
    daemon: FakeDaemon, model_file: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        command = subprocess.run(
            [sys.executable, "-m", "bsadvise", "recommend", model_file, "--save", "a.json", "-q"],
            env={**os.environ, "BSADVISE_ADDRESS": daemon.address},
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert command.returncode != 0
    assert "Traceback" not in command.stderr
    assert "No space left on device" in command.stderr
    assert json.loads(Path("a.json").read_text())["micro_batch_size"] == 32
