"""Hooks, continuous integration and `make` run the same checks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*_*.yml"))


def _yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def _checks_of_make() -> list[str]:
    """Return the commands of `make check`, as a shell in the repository's root would run them."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = dict(re.findall(r"^(\w+) :?= (.*)$", makefile, re.MULTILINE))
    variables["CURDIR"] = "$PWD"
    found = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert found
    recipe = found[1]
    while (expanded := re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], recipe)) != recipe:
        recipe = expanded
    return [line.strip().replace("$$", "$") for line in recipe.splitlines()]


def test_the_hooks_are_the_checks_of_make() -> None:
    (repository,) = _yaml(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"  # nothing is fetched
    hooks = repository["hooks"]
    entries = [re.sub(r"^bash -c '(.*)'$", r"\1", hook["entry"]) for hook in hooks]
    assert entries == _checks_of_make()
    assert {hook["language"] for hook in hooks} == {"system"}


def test_a_hook_sees_the_files_that_its_check_is_about() -> None:
    hooks = {hook["id"]: hook for hook in _yaml(".pre-commit-config.yaml")["repos"][0]["hooks"]}
    seen = {
        file: {name for name, hook in hooks.items() if re.search(hook["files"], file)}
        for file in (
            "advisor/wiring.py",
            "pyproject.toml",
            "protos/bsadvise/v1/advice.proto",
            "client/bsadvise/v1/advice_pb2.pyi",
            "README.md",
        )
    }
    python = {"format", "lint", "types", "imports"}
    contract = {"contract-lint", "contract-compatible", "contract-format"}
    assert list(seen.values()) == [
        python, python, contract | {"generated"}, python | {"generated"}, set(),
    ]  # fmt: skip


def test_continuous_integration_runs_the_two_commands_on_every_python() -> None:
    (job,) = _yaml(".github/workflows/ci.yml")["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == ["make check", "make test"]
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()[-2:] == commands
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [re.fullmatch(r".* :: (3\.\d+)", line) for line in project["classifiers"]]
    assert job["strategy"]["matrix"]["python"] == [one[1] for one in named if one]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_something(form: Path) -> None:
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(content)
    fields = content["body"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_there_is_a_form_for_faults_and_one_for_changes() -> None:
    assert [form.stem for form in FORMS] == ["bug_report", "change_request"]


@pytest.mark.parametrize("name", ["SECURITY.md", ".github/pull_request_template.md"])
def test_the_files_that_a_text_leads_to_are_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert all((ROOT / link).exists() for link in links)
