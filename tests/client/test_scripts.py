"""A script is told from a model file, and goes with its command line and what that names."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bsadvise.cli.commands.recommend import scripts_python
from bsadvise.cli.main import cli
from bsadvise.model.request import EntryKind
from bsadvise.source.bundle import collect
from bsadvise.source.entry_kind import entry_kind_of
from bsadvise.v1 import advice_pb2, observation_pb2, recommendation_pb2, recommendation_service_pb2
from bsadvise.v1.source_service_pb2 import SourceBundle
from click.testing import CliRunner, Result

from tests.support.fake_server import FakeDaemon, a_script
from tests.support.wire_samples import state_changed, wire_advice

_LOOP = "for x in data:\n    x.backward()\n"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (_LOOP, EntryKind.SCRIPT),
        ("def main():\n    pass\nif __name__ == '__main__':\n    main()\n", EntryKind.SCRIPT),
        ("import train\ntrain.main()\n", EntryKind.SCRIPT),
        ("history = Trainer().fit(model)\n", EntryKind.SCRIPT),
        ("def build_model():\n    pass\n" + _LOOP, EntryKind.MODEL_FILE),
        ("from models import small as build_model\n" + _LOOP, EntryKind.MODEL_FILE),
        ("from models import *\n" + _LOOP, EntryKind.MODEL_FILE),
        ("def build_modle():\n    pass\ndef build_dataset():\n    pass\n", EntryKind.MODEL_FILE),
        ('"""Text."""\nWIDTH = 3\nclass Net(Module):\n    pass\n', EntryKind.MODEL_FILE),
        ("class Net(pl.LightningModule):\n    pass\n", EntryKind.SCRIPT),
        ("", EntryKind.MODEL_FILE),
    ],
)
def test_what_does_something_when_it_is_run_is_a_script(source: str, kind: EntryKind) -> None:
    assert entry_kind_of(ast.parse(source)) is kind


def _write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def _bundled(entry: Path, *arguments: str) -> set[str]:
    content = collect(entry, arguments=arguments).content
    return {file.path for file in SourceBundle.FromString(content).files}


_FILES = {
    "train.py": "import settings\nopen('config.json')\nopen('data/x.bin')\nopen('../key.json')\n",
    "settings.py": "path = 'conf'\n",
    "config.json": "{}",
    "conf/a.yaml": "",
    "conf/deep/b.yml": "",
    "conf/notes.txt": "",
    "data/x.bin": "",
    "data/list.txt": "",
    "other.toml": "",
}


def test_configuration_goes_with_a_script_that_names_it(tmp_path: Path) -> None:
    root = tmp_path / "project"
    _write(root, {**_FILES, "../key.json": "{}"})
    named = {"train.py", "settings.py", "config.json", "conf/a.yaml", "conf/deep/b.yml"}
    assert _bundled(root / "train.py") == named
    assert _bundled(root / "train.py", "--list=data/list.txt", "other.toml") == {
        *named, "data/list.txt", "other.toml"
    }  # fmt: skip


def test_data_in_the_formats_of_configuration_stays(tmp_path: Path) -> None:
    _write(tmp_path, {"train.py": "open('big.json')\nopen('labels')\n" + _LOOP})
    _write(tmp_path, {"big.json": " " * (1 << 20) + "1"})
    _write(tmp_path, {f"labels/{number}.json": "" for number in range(1_001)})
    assert _bundled(tmp_path / "train.py") == {"train.py"}
    assert _bundled(tmp_path / "train.py", "big.json") == {"train.py", "big.json"}


def test_a_model_file_goes_with_what_it_imports_alone(tmp_path: Path) -> None:
    _write(tmp_path, {**_FILES, "train.py": "def build_model():\n    open('config.json')\n"})
    assert _bundled(tmp_path / "train.py") == {"train.py"}


@pytest.fixture
def run(daemon: FakeDaemon) -> Callable[..., Result]:
    def invoke(*arguments: Any) -> Result:
        return CliRunner().invoke(
            cli, [str(a) for a in arguments], env={"BSADVISE_ADDRESS": daemon.address}
        )

    return invoke


def _asked(daemon: FakeDaemon) -> recommendation_pb2.AdviceRequest:
    create = recommendation_service_pb2.CreateRecommendationRequest
    return next(r for r in daemon.requests if isinstance(r, create)).request


def test_what_comes_after_two_dashes_is_the_scripts(
    run: Callable[..., Result], daemon: FakeDaemon, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(_LOOP)
    result = run("recommend", script, "--observe-only", "--", "--seed", "3", "key=value")
    assert result.exit_code == 0, result.stderr
    request = _asked(daemon)
    assert request.source.entry_kind == recommendation_pb2.ENTRY_KIND_SCRIPT
    assert list(request.source.arguments) == ["--seed", "3", "key=value"]
    assert request.observe_only
    assert not request.seed


def test_data_is_named_by_where_it_lies_beside_the_script(
    run: Callable[..., Result], daemon: FakeDaemon, tmp_path: Path
) -> None:
    script = tmp_path / "project" / "train.py"
    (tmp_path / "project" / "data").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    script.write_text(_LOOP)
    paths = (tmp_path / "project" / "data", tmp_path / "shared")
    flags = [part for path in paths for part in ("--data-path", path)]
    result = run("recommend", script, *flags, "--model-class", "Net")
    assert result.exit_code == 0, result.stderr
    request = _asked(daemon)
    assert dict(request.data_paths) == {"data": str(paths[0]), "../shared": str(paths[1])}
    assert request.model_class == "Net"
    assert run("recommend", script, "--data-path", "/usr").exit_code != 0


def _observed() -> advice_pb2.Advice:
    advice = wire_advice()
    advice.reference.CopyFrom(
        observation_pb2.Reference(
            loop=observation_pb2.TRAINING_LOOP_SCRIPT, batch_size=128, micro_batch_size=128,
            accumulation_steps=1, optimizer_name="Adadelta", learning_rate=1.0,
            optimizer_count=1, schedule_name="StepLR", dataset_size=60_000, precision="fp32",
        )
    )  # fmt: skip
    return advice


def test_what_was_found_is_one_line_to_check(
    run: Callable[..., Result], daemon: FakeDaemon, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(_LOOP)
    daemon.script = a_script(
        end=state_changed(recommendation_pb2.STATE_SUCCEEDED, advice=_observed())
    )
    lines = run("recommend", script, "--observe-only", "-q").stdout.splitlines()
    found = "batch 128, lr 1, Adadelta, StepLR an epoch, 60,000 samples"
    assert lines[0] == f"found: {found}"
    document = json.loads(run("recommend", script, "--observe-only", "-o", "json").stdout)
    assert document["reference"]["batch_size"] == 128
    assert "learning_rate" not in document
    whole = run("recommend", script, "-q").stdout
    assert found in " ".join(whole.split())


def test_a_script_runs_in_the_active_environment_that_has_torch(tmp_path: Path) -> None:
    script, model_file = tmp_path / "train.py", tmp_path / "model.py"
    script.write_text(_LOOP)
    model_file.write_text("def build_model(): ...\n")
    environment = tmp_path / "venv"
    variables = {"VIRTUAL_ENV": str(environment)}
    assert scripts_python(script, variables) is None
    (environment / "lib/python3.11/site-packages/torch").mkdir(parents=True)
    (environment / "lib/python3.11/site-packages/torch/__init__.py").touch()
    assert scripts_python(script, variables) == str(environment / "bin/python")
    assert scripts_python(model_file, variables) is None
    assert scripts_python(script, {"VIRTUAL_ENV": sys.prefix}) is None
    assert scripts_python(script, {}) is None
