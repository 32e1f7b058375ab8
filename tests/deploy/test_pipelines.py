"""The steps for Argo and Kubeflow: what they are by those libraries, and their programs as run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bsadvise.v1 import recommendation_service_pb2

from tests.support.fake_server import FakeDaemon

DEPLOY = Path(__file__).parents[2] / "deploy"
ARGO, KUBEFLOW = DEPLOY / "argo" / "bsadvise.yaml", DEPLOY / "kubeflow" / "recommend.yaml"
NUMBERS = {
    "micro_batch_size": "32",
    "accumulation_steps": "2",
    "effective_batch_size": "64",
    "learning_rate": "0.003",
}


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path_factory.mktemp("s") / "d.sock") as fake:
        yield fake


def _read(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


def _run(directory: Path, command: list[str], **environment: str) -> None:
    (directory / "train.py").write_text("import argparse\n\nprint(argparse)\n")
    path = f"{Path(sys.executable).parent}:{os.defpath}"
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, check=False,
        env={"PATH": path, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _check_request(daemon: FakeDaemon) -> None:
    (asked,) = (
        one.request for one in daemon.requests
        if isinstance(one, recommendation_service_pb2.CreateRecommendationRequest)
    )  # fmt: skip
    assert asked.budget_s == 30
    assert list(asked.source.arguments) == ["--data", "*", "--epochs", "3"]


def test_argo_knows_every_field_of_the_template() -> None:
    models: Any = pytest.importorskip("hera.workflows.models")
    said = _read(ARGO)
    made = models.WorkflowTemplate.model_validate(said)
    kept = json.loads(made.model_dump_json(by_alias=True, exclude_none=True))
    assert kept == said


def test_argos_step_writes_what_the_template_says_it_does(
    daemon: FakeDaemon, tmp_path: Path
) -> None:
    (template,) = _read(ARGO)["spec"]["templates"]
    assert "{{" not in template["container"]["args"][0]
    given = {
        "model": "train.py", "flags": "--budget 30s --no-cache",
        "arguments": "--data * --epochs 3", "address": daemon.address,
    }  # fmt: skip
    declared = {one["name"] for one in template["inputs"]["parameters"]}
    assert set(given) <= declared
    environment = {
        one["name"]: given[one["value"].removeprefix("{{inputs.parameters.").rstrip("}")]
        for one in template["container"]["env"]
    }
    # The folder of the step's own file system.
    (program,) = template["container"]["args"]
    here = program.replace("/tmp/advice", str(tmp_path / "advice"))
    _run(tmp_path, [*template["container"]["command"], here], **environment)
    _check_request(daemon)
    for output in template["outputs"]["parameters"]:
        file = tmp_path / output["valueFrom"]["path"].removeprefix("/tmp/")
        assert file.read_text() == NUMBERS[output["name"].replace("-", "_")]
    (artifact,) = template["outputs"]["artifacts"]
    answer = json.loads((tmp_path / artifact["path"].removeprefix("/tmp/")).read_text())
    assert answer["effective_batch_size"] == 64


def test_the_kubeflow_component_is_what_its_source_compiles_to(tmp_path: Path) -> None:
    pytest.importorskip("kfp.compiler")
    source = KUBEFLOW.with_name("component.py")
    spec = importlib.util.spec_from_file_location("component", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = tmp_path / "made.yaml"
    module.compile_to(made, "bsadvise:cpu")
    new, kept = _read(made), _read(KUBEFLOW)
    for one in (new, kept):
        del one["sdkVersion"]
    assert new == kept


def test_kubeflows_step_writes_its_outputs(daemon: FakeDaemon, tmp_path: Path) -> None:
    executor = _read(KUBEFLOW)["deploymentSpec"]["executors"]["exec-recommend"]["container"]
    given = {
        "model_file": "train.py", "flags": "--budget 30s --no-cache",
        "arguments": "--data * --epochs 3", "address": daemon.address,
    }  # fmt: skip

    def argument(text: str) -> str:
        (kind, name) = re.findall(r"\$\.(inputs|outputs)\.\w+\[''?(\w+)''?\]", text)[0]
        return given[name] if kind == "inputs" else str(tmp_path / "outputs" / name)

    _run(tmp_path, [*executor["command"], *map(argument, executor["args"])])
    _check_request(daemon)
    for name, value in NUMBERS.items():
        assert (tmp_path / "outputs" / name).read_text().strip() == value
    assert json.loads((tmp_path / "outputs" / "advice").read_text())["verified"] is True
