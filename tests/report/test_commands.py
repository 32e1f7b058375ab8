"""Reports as they are asked for: commands and clients against a server, and the extra missing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bsadvise.aio import AsyncClient
from bsadvise.cli.main import cli
from bsadvise.client import Client
from bsadvise.model.errors import ExportFailed, StillRunning
from bsadvise.report import page
from bsadvise.v1 import advice_pb2, recommendation_pb2
from click.testing import CliRunner, Result

from tests.support.fake_server import FakeDaemon, Hold, a_script
from tests.support.parsed_page import check_harmless, document_of, text_of
from tests.support.wire_samples import (
    a_refusal,
    measured,
    state_changed,
    step_run_measurement,
    trial_measurement,
    wire_advice,
)

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with FakeDaemon() as fake:
        yield fake


@pytest.fixture
def run(daemon: FakeDaemon) -> Run:
    def invoke(*arguments: Any) -> Result:
        return CliRunner().invoke(
            cli, [str(one) for one in arguments], env={"BSADVISE_ADDRESS": daemon.address}
        )

    return invoke


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text("REFERENCE_BATCH_SIZE = 16\n")
    return path


def _trained(**changes: Any) -> tuple[Any, ...]:
    return a_script(
        measured(step_run_measurement(), best=wire_advice()),
        measured(trial_measurement(), best=wire_advice()),
        end=state_changed(recommendation_pb2.STATE_SUCCEEDED, advice=wire_advice(**changes)),
    )  # type: ignore[return-value]  # a tuple


def test_the_report_of_a_job_is_written(run: Run, daemon: FakeDaemon, tmp_path: Path) -> None:
    (job_id,) = daemon.seed(_trained())
    result = run("report", job_id, "-o", tmp_path / "out.html")
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "out.html").read_text()
    root = check_harmless(page)
    (headline,) = root.iter("h1")
    assert text_of(headline) == "batch 64 (32 x 2), lr 0.003"
    assert len(document_of(page)["measurements"]) == 2
    assert "out.html is written" in result.stdout


def test_an_older_daemon_s_job_has_a_report_too(
    run: Run, daemon: FakeDaemon, tmp_path: Path
) -> None:
    daemon.explanation = None
    (job_id,) = daemon.seed(_trained())
    assert run("report", job_id, "-o", tmp_path / "out.html").exit_code == 0
    assert document_of((tmp_path / "out.html").read_text())["explanation"] is None


def test_two_jobs_are_written_side_by_side(run: Run, daemon: FakeDaemon, tmp_path: Path) -> None:
    one, other = daemon.seed(_trained(), _trained(learning_rate=0.5))
    result = run("compare", one, other, "-o", tmp_path / "both.html")
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / "both.html").read_text()
    assert "lr 0.003" in text
    assert "lr 0.5" in text


def test_recommend_writes_a_report_beside_its_answer(
    run: Run, daemon: FakeDaemon, model_file: Path, tmp_path: Path
) -> None:
    daemon.script = _trained()
    result = run("recommend", model_file, "--report", tmp_path / "out.html", "--output", "json")
    assert result.exit_code == 0, result.stderr
    root = check_harmless((tmp_path / "out.html").read_text())
    # The places in the user's own file, which the daemon does not know.
    assert "REFERENCE_BATCH_SIZE, model.py:1" in text_of(root)
    assert result.stdout.startswith("{")
    assert "out.html is written" in result.stderr


def test_recommend_in_vain_has_a_report_and_its_own_exit_code(
    run: Run, daemon: FakeDaemon, model_file: Path, tmp_path: Path
) -> None:
    refusal = a_refusal(advice_pb2.REFUSAL_CODE_NO_FIT, "Not one sample fits.")
    daemon.script = a_script(end=state_changed(recommendation_pb2.STATE_FAILED, refusal=refusal))
    result = run("recommend", model_file, "--report", tmp_path / "out.html")
    assert result.exit_code == 4
    assert "No setting: no fit" in (tmp_path / "out.html").read_text()


def test_a_report_that_cannot_be_written_is_said(run: Run, daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(_trained())
    result = run("report", job_id, "-o", "/proc/nothing/out.html")
    assert result.exit_code == 1
    assert "/proc/nothing/out.html cannot be written" in result.stderr


@pytest.mark.parametrize("module", ["jinja2", "vl_convert"])
def test_without_the_extra_nothing_is_searched_for(
    run: Run,
    daemon: FakeDaemon,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
) -> None:
    page._environment.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    result = run("recommend", model_file, "--report", tmp_path / "out.html")
    assert result.exit_code == ExportFailed.exit_code
    assert "pip install 'bsadvise[report]'" in result.stderr
    assert not daemon.requests


def test_a_setting_of_that_name_is_no_table_of_the_command(
    run: Run, daemon: FakeDaemon, model_file: Path, tmp_path: Path
) -> None:
    config = tmp_path / "own.toml"
    config.write_text(f'report = "{tmp_path / "out.html"}"\n')
    daemon.script = _trained()
    assert run("--config", config, "recommend", model_file).exit_code == 0
    assert (tmp_path / "out.html").exists()


def test_a_client_gives_the_page(daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(_trained())
    with Client(daemon.address) as client:
        assert len(client.findings(job_id).log) == 2
        assert client.report(job_id).startswith("<!DOCTYPE html>")


async def test_an_async_client_gives_the_page(daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(_trained())
    async with AsyncClient(daemon.address) as client:
        assert (await client.report(job_id)).startswith("<!DOCTYPE html>")


def test_a_job_that_goes_on_has_none_yet(daemon: FakeDaemon, model_file: Path) -> None:
    daemon.script = a_script(Hold())
    with Client(daemon.address) as client:
        job = client.create_recommendation(model_file)
        with pytest.raises(StillRunning):
            client.report(job.recommendation_id)
        client.cancel(job.recommendation_id)


def test_an_advice_alone_has_a_page(daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(_trained())
    with Client(daemon.address) as client:
        advice = client.advice(job_id)
    page = advice.report()
    root = check_harmless(page)
    (headline,) = root.iter("h1")
    assert text_of(headline) == "batch 64 (32 x 2), lr 0.003"
    assert document_of(page)["recommendation"]["advice"]["learning_rate"] == 0.003
