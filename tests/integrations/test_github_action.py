"""The action's own steps, run by a shell as a runner runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from bsadvise.integrations import github
from bsadvise.v1 import memory_service_pb2, recommendation_service_pb2

from tests.support.fake_server import FakeDaemon

ACTION = Path(__file__).parents[2] / "action.yml"


def _action() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    return read


def test_it_is_an_action() -> None:
    pytest.importorskip("check_jsonschema")
    checker = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.github-actions", str(ACTION)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def _run(
    step: int, inputs: Mapping[str, str], directory: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a step with the inputs that a workflow gives, and the defaults of the others."""
    action = _action()
    given = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
    given.update(inputs)
    said = action["runs"]["steps"][step]

    def evaluated(match: re.Match[str]) -> str:
        source, _, name = match[1].partition(".")
        return given[name] if source == "inputs" else "/the/action"

    assert "${{" not in said["run"]
    variables = {
        name: re.sub(r"\$\{\{ ([\w.-]+) \}\}", evaluated, value)
        for name, value in said["env"].items()
    }
    for name in ("output", "summary.md"):
        (directory / name).touch()
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", said["run"]],
        cwd=directory, capture_output=True, text=True, check=False,
        env={
            "PATH": os.defpath,
            "GITHUB_OUTPUT": str(directory / "output"),
            "GITHUB_STEP_SUMMARY": str(directory / "summary.md"),
            "RUNNER_TEMP": str(directory),
            **variables,
            **environment,
        },
    )  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "my model.py"
    path.write_text("def build_model():\n    return None\n")
    return path


@pytest.mark.parametrize(
    ("package", "installed"), [("", "/the/action[server]"), ("my wheel.whl", "my wheel.whl")]
)
def test_it_installs_itself_unless_told_otherwise(
    package: str, installed: str, tmp_path: Path
) -> None:
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    done = _run(0, {"package": package, "python": str(program)}, tmp_path)
    assert done.stdout.splitlines() == [
        "-m", "pip", "install", "--quiet", "--disable-pip-version-check", installed,
    ]  # fmt: skip


def test_a_recommendation_is_outputs_and_a_summary(
    model: Path, daemon: FakeDaemon, tmp_path: Path
) -> None:
    model.write_text("import argparse\n\nprint(argparse)\n")
    inputs = {
        "model": model.name, "command": "recommend", "flags": "--budget '30 s' --no-cache",
        "arguments": "--data 'a b' --epochs 3", "python": sys.executable,
    }  # fmt: skip
    done = _run(1, inputs, tmp_path, BSADVISE_ADDRESS=daemon.address)
    assert done.returncode == 0, done.stderr
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    declared = {
        re.sub(r"\$\{\{ steps\.answer\.outputs\.(\w+) \}\}", r"\1", one["value"])
        for one in _action()["outputs"].values()
    }
    assert set(outputs) == declared
    assert (outputs["micro_batch_size"], outputs["learning_rate"]) == ("32", "0.003")
    assert Path(outputs["answer"]).is_file()
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("### bsadvise: my model.py\n\n```\nbatch 64 (32 x 2), lr 0.003")
    (asked,) = (
        one.request for one in daemon.requests
        if isinstance(one, recommendation_service_pb2.CreateRecommendationRequest)
    )  # fmt: skip
    assert asked.budget_s == 30
    assert list(asked.source.arguments) == ["--data", "a b", "--epochs", "3"]


@pytest.mark.parametrize(("batch", "exit_code"), [(1, 0), (1 << 20, 4)])
def test_the_step_fails_where_the_batch_no_longer_fits(
    batch: int, exit_code: int, model: Path, daemon: FakeDaemon, tmp_path: Path
) -> None:
    flags = f"--device a100-80gb --batch {batch}"
    inputs = {"model": model.name, "flags": flags, "python": sys.executable}
    done = _run(1, inputs, tmp_path, BSADVISE_ADDRESS=daemon.address)
    assert done.returncode == exit_code, done.stderr
    assert daemon.count(memory_service_pb2.EstimateMemoryRequest) == 1
    summary = (tmp_path / "summary.md").read_text()
    assert ("Failed with exit code 4" in summary) is (exit_code == 4)
    assert "max_micro_batch_size=" in (tmp_path / "output").read_text()


def test_inputs_are_no_code(tmp_path: Path, daemon: FakeDaemon) -> None:
    inputs = {"model": '$(touch pwned); "', "flags": "`touch pwned`", "python": sys.executable}
    done = _run(1, inputs, tmp_path, BSADVISE_ADDRESS=daemon.address)
    assert done.returncode == 2
    assert not (tmp_path / "pwned").exists()


def test_no_other_command_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert github.main({"BSADVISE_ACTION_COMMAND": "serve"}) == 2
    assert "it may be estimate or recommend" in capsys.readouterr().out
