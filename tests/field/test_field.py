"""Model files of the kinds that people write end as they must."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.field.expectation import MODELS, differences, expectation_of

IS_WHOLE = os.environ.get("BSADVISE_FIELD") == "whole"
EVERY = sorted(path.stem for path in MODELS.glob("*.py"))
VISITED = [name for name in EVERY if IS_WHOLE or expectation_of(name).is_quick]


def test_every_file_has_its_expectation() -> None:
    assert sorted(path.stem for path in MODELS.glob("*.toml")) == EVERY
    assert any(expectation_of(name).is_quick for name in EVERY)


@pytest.mark.parametrize("name", VISITED)
def test_a_file_ends_as_it_must(name: str, tmp_path: Path) -> None:
    expected = expectation_of(name)
    homes = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("CACHE", "CONFIG", "STATE")}
    command = [sys.executable, "-m", "bsadvise", "recommend", str(MODELS / f"{name}.py")]
    options = ["--device", "cpu", "--budget", "30s", "--output", "json", *expected.arguments]
    ended = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, env=os.environ | homes,
    )  # fmt: skip
    found = differences(expected, ended.returncode, ended.stdout, ended.stderr)
    assert not found, "\n".join([expected.why, *found, ended.stderr, ended.stdout])
