"""What a person sees fits a screen of 40 lines and 80 columns, and obeys nobody."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bsadvise.cli.main import cli
from bsadvise.cli.render.output import PrintableConsole
from bsadvise.cli.render.panel import Board, sparkline
from bsadvise.cli.render.views import advice_view, jobs_view
from bsadvise.cli.render.views.layout import bullets
from bsadvise.cli.render.views.plots import plots_view
from bsadvise.cli.render.views.screen import SCREEN_LINES, Part, Screen
from bsadvise.exports.changes.values import Change, Changes
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import Caveat, CaveatCode, worst_first
from bsadvise.model.commands import RecallAnswers
from bsadvise.model.recommendation import CommandStarted, Event, Measured, Recommendation
from bsadvise.v1 import recommendation_pb2
from bsadvise.wire.messages import from_message
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.console import RenderableType
from rich.text import Text

from tests.replay.recordings import path_of, read_recording, recorded_names
from tests.support.fake_server import FakeDaemon, a_script
from tests.support.wire_samples import measured, wire_advice, wire_measurement

EXPLAIN = f"bsadvise jobs show {'0' * 32} --explain"
EVIL = "\x1b[2J\u202eevil[bold]\u2066"


def lines_of(view: RenderableType, *, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict", newline="\n")
    PrintableConsole(
        file=file, width=80, height=SCREEN_LINES, highlight=False, markup=False, emoji=False
    ).print(view)
    file.seek(0)
    return file.read().splitlines()


@pytest.mark.parametrize("name", recorded_names())
def test_a_recorded_answer_fits_a_screen_and_loses_nothing(name: str) -> None:
    advice = read_recording(path_of(name)).answer
    if not isinstance(advice, Advice):
        return
    shown = lines_of(advice_view(advice, "model.py", explained_by=EXPLAIN))
    assert len(shown) < SCREEN_LINES  # One is for the prompt.
    assert max(map(len, shown)) <= 80
    assert EXPLAIN in shown[-2]
    explained = " ".join(" ".join(lines_of(advice_view(advice, "model.py"))).split())
    for caveat in advice.caveats:
        assert " ".join(caveat.text.split()) in explained


def test_a_screen_that_is_too_small_says_what_it_leaves_out() -> None:
    advice = from_message(wire_advice(), Advice)
    texts = [f"This is caveat number {number}, which is long. " * 3 for number in range(9)]
    advice = replace(advice, caveats=tuple(Caveat(text=text) for text in texts))
    changes = Changes(
        values=tuple(
            Change(what="learning_rate", where=f"--lr{number}", before="1", after="2")
            for number in range(12)
        )
    )
    shown = lines_of(advice_view(advice, "model.py", changes, explained_by=EXPLAIN))
    assert len(shown) < SCREEN_LINES
    text = "\n".join(shown)
    for part in ("Settings", "Apply", "Why", "Compared with your recipe", "Caveats"):
        assert f"\n{part}\n" in text
    assert "--lr8: 1 -> 2" in text
    assert "caveat number 0" in text
    assert "more caveats" in shown[-1]


ROWS = st.lists(st.text("ab ", min_size=1, max_size=400), max_size=12)


@given(st.tuples(ROWS, ROWS, ROWS, ROWS, ROWS), st.text("ab ", max_size=300))
def test_any_rows_fit_a_screen(rows: tuple[list[str], ...], heading: str) -> None:
    leasts = (8, 9, 2, 2, 3)  # Those of an answer.
    parts = [
        Part("title", some, bullets, "rows", least)
        for some, least in zip(rows, leasts, strict=True)
    ]
    assert len(lines_of(Screen(Text(heading), parts, EXPLAIN, ["more"]))) < SCREEN_LINES


def test_the_worst_caveat_comes_first() -> None:
    codes = [
        CaveatCode.LARGEST_BATCH_NOT_RUN,
        "of_a_newer_release",
        CaveatCode.SHORT_TRIALS,
        CaveatCode.NOT_VERIFIED,
        CaveatCode.VERIFICATION_FAILED,
    ]
    ordered = worst_first(Caveat(text="", code=code) for code in codes)
    assert [caveat.code for caveat in ordered] == [
        CaveatCode.VERIFICATION_FAILED,
        CaveatCode.NOT_VERIFIED,
        "of_a_newer_release",
        CaveatCode.SHORT_TRIALS,
        CaveatCode.LARGEST_BATCH_NOT_RUN,
    ]


def test_a_list_of_jobs_fits_80_columns_and_breaks_no_name() -> None:
    message = recommendation_pb2.Recommendation(
        recommendation_id="0123456789abcdef" * 2,
        request=recommendation_pb2.AdviceRequest(
            source=recommendation_pb2.Source(entry_path="experiments/train_vision_transformer.py")
        ),
        state=recommendation_pb2.STATE_SUCCEEDED,
        created_at_s=1_700_000_000,
        advice=wire_advice(),
    )
    message.device.name = "NVIDIA RTX 6000 Ada Generation"
    job = from_message(message, Recommendation)
    lines = lines_of(jobs_view([job, replace(job, recommendation_id="short", advice=None)]))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    names = ("experiments/train_vision_transformer.py", "NVIDIA RTX 6000 Ada Generation")
    assert all(text.count(name) == 2 for name in names)
    assert "0123456789abcdef" * 2 in text


def board_of(name: str) -> Board:
    recording = read_recording(path_of(name))
    board, best = Board(), None
    for count, one in enumerate(recording.log, start=1):
        best = recording.best_so_far.get(count) or best
        assert not isinstance(one.command, RecallAnswers)  # No worker is asked for these.
        for happening in (
            CommandStarted(command=one.command),
            Measured(measurement=one, best=best, remaining_s=9.0),
        ):
            board.show(Event(sequence=count, at_s=0.0, happening=happening))
    return board


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("name", ["char_gpt", "nan_loss", "simulated_card_disagrees"])
def test_the_panel_of_a_recorded_search(name: str, encoding: str) -> None:
    lines = lines_of(board_of(name), encoding=encoding)
    assert max(map(len, lines)) <= 76  # What the terminal echoes of Ctrl-C has room beside it.
    assert len(lines) <= 16
    text = "\n".join(lines)
    for words in ("> verify", "measured at batch", "best so far", "at most"):
        assert words in text
    assert ("failed" in text) == (name == "nan_loss")


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=99))
def test_a_sparkline_rises_where_its_numbers_do(values: list[float]) -> None:
    levels = " .:-=+*#%@"
    line = sparkline(sorted(values), min(values), max(values), levels, 16)
    assert len(line) == min(len(values), 16)
    heights = [levels.index(char) for char in line]
    assert heights == sorted(heights)
    assert min(heights) >= 1


@pytest.mark.parametrize("name", ["char_gpt", "benchmark_char_gpt", "nan_loss", "gpt2_on_a100"])
def test_a_recorded_log_is_drawn_in_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = read_recording(path_of(name))
    assert isinstance(recording.answer, Advice)
    with io.TextIOWrapper(io.BytesIO(), "utf-8") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        lines = lines_of(plots_view(recording.log, recording.answer))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "Memory by micro-batch: o predicted, x measured, line: limit" in text
    was_run = name != "gpt2_on_a100"  # No such card was there, nor any data.
    assert ("Throughput by micro-batch, samples/s" in text) == was_run
    assert ("Training loss by samples" in text) == (name not in ("gpt2_on_a100", "nan_loss"))
    if name == "benchmark_char_gpt":
        # Six trials, the best first.
        assert "a  trial 2, batch 16, lr 0.0101: held-out loss 2.005" in text
        assert "f  trial" in text


def test_what_cannot_be_drawn_is_said(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    measured_one, empty = daemon.seed(a_script(), (*a_script()[:2], a_script()[-1]))

    def show(*arguments: str) -> Result:
        environment = {"BSADVISE_ADDRESS": daemon.address}
        return CliRunner().invoke(cli, ["jobs", "show", *arguments], env=environment)

    drawn = show(measured_one, "--plot")
    assert "Memory by micro-batch" in drawn.stdout
    assert "batch 64 (32 x 2), lr 0.003" in drawn.stdout
    assert "Nothing was measured for it" in show(empty, "--plot").stdout
    wrong = show(measured_one, "--plot", "-o", "json")
    assert (wrong.exit_code, "ask for --log" in wrong.stderr) == (2, True)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "plotille", None)
        missing = show(measured_one, "--plot")
    assert (missing.exit_code, "pip install 'bsadvise[plot]'" in missing.stderr) == (1, True)


def test_what_a_model_file_says_moves_nothing_on_the_terminal() -> None:
    advice = from_message(wire_advice(device=EVIL, lr_rule=EVIL), Advice)
    advice = replace(advice, caveats=(Caveat(text=EVIL),))
    changes = Changes(values=(Change(what="w", where=EVIL, before=EVIL, after=EVIL),))
    for explained_by in (None, EXPLAIN):
        lines = lines_of(advice_view(advice, EVIL, changes, explained_by=explained_by))
        assert max(map(len, lines)) <= 80
        text = "".join("".join(lines).split())
        assert not {"\x1b", "\u202e", "\u2066"} & set(text)
        assert text.count(r"\x1b[2J\u202eevil[bold]\u2066") == 6


def test_a_message_of_several_lines_is_one_line_of_progress(
    daemon: FakeDaemon, model_file: Path
) -> None:
    fault = {"code": "FAULT_CODE_USER_EXCEPTION", "message": "no\n[   9.9 s] succeeded"}
    failed = wire_measurement(run_step={"micro_batch_size": 4}, failed={"fault": fault})
    daemon.script = a_script(measured(failed, best=wire_advice()))
    # What is imported is seen in a process of its own.
    code = (
        "import sys; from bsadvise.cli.main import cli\n"
        f"cli(['recommend', {str(model_file)!r}, '-o', 'json'], standalone_mode=False)\n"
        "sys.exit('rich.live' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "BSADVISE_ADDRESS": daemon.address, "FORCE_COLOR": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 4
    assert "\x1b[?25l" not in done.stderr
