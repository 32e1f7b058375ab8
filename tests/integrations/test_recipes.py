"""What docs/integrations.md shows: Python, names that are there, and a recipe that runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from bsadvise import Client

from tests.support.fake_server import FakeDaemon

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def _imports_of_ours(code: str) -> list[tuple[str, str]]:
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bsadvise")
        for alias in node.names
    ]


@pytest.mark.parametrize("code", _blocks("python"), ids=lambda code: code.split("\n")[0][:40])
def test_the_names_of_a_block_are_there(code: str) -> None:
    for module, name in _imports_of_ours(code):
        # Read, since some cannot be imported without their library.
        path = ROOT.joinpath("client", *module.split("."))
        if path.is_dir():
            assert (path / f"{name}.py").exists()
        else:
            tree = ast.parse(path.with_suffix(".py").read_text(encoding="utf-8"))
            assert name in {getattr(node, "name", None) for node in tree.body}


def test_yaml_is_yaml_and_links_lead_somewhere() -> None:
    assert all(yaml.safe_load(block) for block in _blocks("yaml"))
    for path in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (ROOT / "docs" / path).exists(), path


@pytest.mark.filterwarnings("default")
def test_the_recipe_for_accelerate_runs(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    torch = pytest.importorskip("torch")
    (tmp_path / "model.py").write_text("def build_model():\n    return None\n")
    monkeypatch.setenv("BSADVISE_ADDRESS", daemon.address)
    (code,) = (block for block in _blocks("python") if "Accelerator(" in block)
    names: dict[str, Any] = {"data": torch.zeros(640, 2), "model": torch.nn.Linear(2, 1)}
    exec(code.replace("Accelerator(**", "Accelerator(cpu=True, **"), names)  # noqa: S102
    assert names["accelerator"].gradient_accumulation_steps == 2
    assert names["loader"].total_batch_size == 32
    assert names["optimizer"].param_groups[0]["lr"] == 3e-3
    assert isinstance(names["client"], Client)
