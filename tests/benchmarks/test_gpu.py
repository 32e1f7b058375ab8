"""The run on a GPU: its plan, its figures, and how it goes on after an end that came too soon."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gpu.__main__ import describe, earlier_steps, main
from benchmarks.gpu.energy import summarise as summarise_energy
from benchmarks.gpu.gpu_tests import ends_of, marked_files
from benchmarks.gpu.memory import compare, summarise
from benchmarks.gpu.plan import STEPS, TOTAL_LIMIT_S, Part, Status, Step, limit_of, plan
from benchmarks.gpu.report import Report, read_json
from benchmarks.gpu.requirements import package_name, requirements
from benchmarks.gpu.running import Outcome, run_step
from benchmarks.gpu.wheels import report

MIB = 1 << 20
ROOT = Path(__file__).parents[2]


def test_where_everything_is_there_nothing_is_skipped() -> None:
    planned = plan(list(Part))
    assert [one.step for one in planned] == list(STEPS)
    assert not any(one.skips for one in planned)


def test_without_a_gpu_every_step_says_what_it_skips() -> None:
    planned = {one.step.name: one for one in plan([Part.COMPILER, Part.LANDLOCK])}
    assert planned["energy"].is_skipped
    assert planned["energy"].skips == ("no energy counter can be read",)
    assert planned["resnet50_photographs"].is_skipped
    for name in ("sandbox", "tests", "memory", "gpt2_text", "resnet50_synthetic"):
        assert not planned[name].is_skipped
        assert any("no CUDA device" in skip for skip in planned[name].skips), name


@given(st.sets(st.sampled_from(list(Part))), st.sets(st.sampled_from([s.name for s in STEPS])))
def test_a_step_is_planned_unless_it_is_done(parts: set[Part], done: set[str]) -> None:
    planned = plan(parts, done=done)
    assert [one.step.name for one in planned] == [s.name for s in STEPS if s.name not in done]
    for one in planned:
        assert one.is_skipped == bool(one.step.needs - parts)
        assert bool(one.skips) == bool((one.step.needs | set(one.step.partly_needs)) - parts)


@given(st.floats(-10, 1000), st.floats(1, 500))
def test_no_step_outlasts_the_run_or_begins_with_too_little(left_s: float, limit_s: float) -> None:
    limit = limit_of(Step(name="one", limit_s=limit_s), left_s)
    assert (limit is None) == (left_s < limit_s / 2)
    assert limit is None or limit <= min(left_s, limit_s)


def test_most_steps_are_begun_however_long_each_takes() -> None:
    left_s, begun = TOTAL_LIMIT_S, 0
    for step in STEPS:
        limit_s = limit_of(step, left_s)
        begun += limit_s is not None
        left_s -= limit_s or 0.0
    assert begun >= len(STEPS) - 1


def _script(text: str) -> list[str]:
    return [sys.executable, "-c", text]


NOTE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('{\"a\": 1}'); "


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [("", Status.DONE, None), ("sys.exit('it does not fit')", Status.FAILED, "it does not fit")],
)
def test_figures_stay_however_a_step_ends(end: str, status: Status, error: str | None) -> None:
    outcome = run_step(_script(NOTE + end), 600.0, ("a part",))
    assert (outcome.status, outcome.error, outcome.skips) == (status, error, ("a part",))
    assert outcome.figures == {"a": 1}


def test_a_step_is_ended_at_its_limit() -> None:
    outcome = run_step(_script("import signal; signal.pause()"), 0.1)
    assert outcome.status is Status.TIMED_OUT


def test_what_a_step_started_ends_with_it() -> None:
    text = (
        "import pathlib, subprocess, sys; "
        "child = subprocess.Popen(['sleep', '1000']); "
        "pathlib.Path(sys.argv[1]).write_text('{\"pid\": %d}' % child.pid)"
    )
    outcome = run_step(_script(text), 60.0)
    with contextlib.suppress(ProcessLookupError):  # It is gone already.
        select.select([os.pidfd_open(outcome.figures["pid"])], [], [])


def test_figures_are_kept_as_they_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    figures = Report(path)
    figures.note("gpt", {"peak_bytes": 3})
    assert read_json(path) == {"gpt": {"peak_bytes": 3}}
    figures.note("cnn", None)
    assert read_json(path) == {"gpt": {"peak_bytes": 3}, "cnn": None}
    assert "peak_bytes" in capsys.readouterr().out
    path.write_text("[]", encoding="utf-8")
    assert read_json(path) == read_json(tmp_path / "none.json") == {}


def _step(status: Status, **changes: Any) -> dict[str, Any]:
    return {"status": status, "seconds": 1.5, "skips": [], "error": None} | changes


def test_a_later_run_goes_on_from_one_on_the_same_card() -> None:
    subject = {"format": 1, "card": {"name": "NVIDIA H100"}, "source_digest": "ab"}
    steps = {
        "tests": _step(Status.DONE), "memory": _step(Status.FAILED),
        "energy": _step(Status.SKIPPED), "gpt2_text": _step(Status.NOT_REACHED),
    }  # fmt: skip
    earlier = json.loads(json.dumps({**subject, "steps": steps}))
    assert earlier_steps(earlier, subject) == steps
    for change in ({"card": None}, {"source_digest": "cd"}, {"format": 2}):
        assert earlier_steps(earlier, subject | change) == {}
    assert earlier_steps({}, subject) == {}


def test_the_end_says_what_was_skipped_and_what_failed() -> None:
    told = describe(
        {
            "memory": _step(Status.FAILED, error="2 models did not fit as predicted"),
            "energy": _step(Status.SKIPPED, skips=["no energy counter can be read"]),
        }
    )
    assert "failed" in told
    assert "2 models did not fit as predicted" in told
    assert "skipped: no energy counter can be read" in told


def test_memory_is_compared_with_its_limit_and_its_prediction() -> None:
    fits = compare(100 * MIB, 64, 99 * MIB, {"peak_bytes": 96 * MIB, "context_bytes": 5})
    assert (fits["fits"], fits["margin_share"], fits["context_bytes"]) == (True, 0.04, 5)
    assert fits["prediction_error"] == pytest.approx(0.03125)
    too_much = compare(100 * MIB, 64, 99 * MIB, {"peak_bytes": 101 * MIB})
    failed = compare(100 * MIB, 64, None, {"peak_bytes": None})
    assert not too_much["fits"]
    assert not failed["fits"]
    assert summarise([fits, too_much, failed]) == {
        "model_count": 3,
        "misfit_count": 2,
        "out_of_memory_count": 1,
        "lowest_margin_share": -0.01,
        "largest_margin_share": 0.04,
        "worst_prediction_error": 0.03125,
    }


def test_a_counter_in_joules_comes_to_watts() -> None:
    reads = [(0.02 * n, 300.0 * 0.1 * (n // 5)) for n in range(200)]
    found = summarise_energy(reads, [290.0, 310.0])
    assert found["counter_power_w"] == pytest.approx(300.0)
    assert (found["told_power_w"], found["update_period_s"]) == (300.0, 0.1)
    still = summarise_energy([(0.02 * n, 5.0) for n in range(9)], [])
    assert (still["counter_power_w"], still["told_power_w"], still["update_count"]) == (
        None, None, 0,
    )  # fmt: skip


def test_how_tests_ended_is_read_from_their_report() -> None:
    xml = (
        '<testsuites><testsuite><testcase classname="tests.a" name="one"/>'
        '<testcase classname="tests.a" name="two"><skipped message="needs a CUDA device"/>'
        '</testcase><testcase classname="tests.a" name="three"><failure message="1 != 2"/>'
        "</testcase></testsuite></testsuites>"
    )
    assert dict(ends_of(xml)) == {
        "tests.a::one": "passed",
        "tests.a::two": "skipped: needs a CUDA device",
        "tests.a::three": "failure: 1 != 2",
    }


def test_the_files_of_gpu_tests_are_found() -> None:
    names = {path.name for path in marked_files()} - {Path(__file__).name}
    assert {"test_reserved_bytes.py", "test_on_a_card.py"} <= names


def test_requirements_are_those_of_the_daemon_and_of_the_gpu_tests() -> None:
    names = [package_name(line) for line in requirements(without=("torch",))]
    with (ROOT / "pyproject.toml").open("rb") as file:
        server = tomllib.load(file)["project"]["optional-dependencies"]["server"]
    assert {package_name(line) for line in server} - {"torch"} <= set(names)
    assert {"click", "pytest", "pytest-asyncio", "hypothesis"} <= set(names)
    assert not {"torch", "lightning", "transformers"} & set(names)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("grpcio>=1.76,<2", "grpcio"),
        ("psycopg[binary]>=3.2", "psycopg"),
        ("nvidia_ml_py-13.615.71-py3-none-any.whl", "nvidia-ml-py"),
        ("PyYAML-6.0.4-cp312-cp312-manylinux2014_x86_64.whl", "pyyaml"),
        ("mako", "mako"),
    ],
)
def test_packages_go_by_one_name(text: str, name: str) -> None:
    assert package_name(text) == name


def test_the_sizes_of_wheels_are_told(tmp_path: Path) -> None:
    for name, size in (("a-1.whl", MIB), ("b-1.whl", 3 * MIB)):
        (tmp_path / name).write_bytes(bytes(size))
    lines = report(tmp_path.iterdir()).splitlines()
    assert [line.split()[0] for line in lines] == ["3.00", "1.00", "4.00"]
    assert lines[-1].endswith("in 2 wheels")


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run the command on a machine that has nothing, with what each step comes to."""
    output = tmp_path / "results" / "cpu.json"

    def run_main(outcome: Outcome, *arguments: str) -> tuple[int, dict[str, Any]]:
        machine: dict[str, Any] = {
            "parts": [],
            "card": None,
            "device_id": None,
            "machine": {"cores": 2},
        }
        monkeypatch.setattr("benchmarks.gpu.__main__.read_machine", lambda: machine)
        monkeypatch.setattr("benchmarks.gpu.__main__.run_step", lambda *_: outcome)
        monkeypatch.setattr(sys, "argv", ["gpu", "--output", str(output), *arguments])
        return main(), read_json(output)

    return run_main


def _statuses(document: dict[str, Any]) -> dict[str, str]:
    return {name: step["status"] for name, step in document["steps"].items()}


def test_a_run_with_nothing_to_run_writes_why(
    run: Callable[..., tuple[int, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = run(Outcome(status=Status.DONE), "--only", "energy,resnet50_photographs")
    assert (code, document["card"], document["machine"]) == (0, None, {"cores": 2})
    assert _statuses(document) == {"energy": "skipped", "resnet50_photographs": "skipped"}
    assert "no energy counter can be read" in capsys.readouterr().out


def test_figures_outlive_the_runs_after_them(
    run: Callable[..., tuple[int, dict[str, Any]]],
) -> None:
    failed = Outcome(status=Status.FAILED, error="out of memory", figures={"mlp": 1})
    code, document = run(failed, "--only", "memory,tests")
    assert (code, _statuses(document)) == (1, {"tests": "failed", "memory": "failed"})
    done = Outcome(status=Status.DONE, figures={"mlp": 2})
    code, document = run(done, "--only", "tests")
    assert (code, _statuses(document)) == (0, {"tests": "done", "memory": "failed"})
    code, document = run(done, "--total-limit-s", "6")
    assert code == 1
    assert document["steps"]["memory"]["figures"] == {"mlp": 1}
    assert _statuses(document) | {"memory": ""} == {
        **dict.fromkeys((step.name for step in STEPS), "not reached"),
        "tests": "done", "memory": "", "energy": "skipped", "resnet50_photographs": "skipped",
    }  # fmt: skip
    _, document = run(failed, "--only", "tests", "--again")
    assert document["steps"]["tests"]["figures"] == {"mlp": 1}
