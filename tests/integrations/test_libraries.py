"""Nothing is imported before it is used, and what is missing is named with what brings it."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import bsadvise
import pytest
from bsadvise import LibraryMissing
from bsadvise.integrations.libraries import library

LIBRARIES = ("airflow", "hydra", "kfp", "lightning", "mlflow", "torch", "transformers", "wandb")


def test_no_library_is_imported_before_it_is_used() -> None:
    program = (
        "import sys, bsadvise, bsadvise.cli.main, bsadvise.integrations.applying\n"
        "import bsadvise.integrations.transformers\n"
        f"print(*(name for name in {LIBRARIES!r} if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_workers_run_of_a_script_imports_no_grpc() -> None:
    """It would be in the memory that is measured, and in every process of a loader."""
    program = "import sys, bsadvise.integrations.transformers; print('grpc' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(LibraryMissing, match=r"^no_such_thing is not .*'bsadvise\[mlflow\]'$"):
        library("no_such_thing.at.all", "mlflow")


def test_what_is_amiss_inside_a_library_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_library.py").write_text("import what_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_it_needs"):
        library("broken_library", "mlflow")


def test_extras_are_those_of_the_package() -> None:
    extras = set(metadata.metadata("bsadvise").get_all("Provides-Extra") or ())
    folder = Path(bsadvise.__file__).parent / "integrations"
    named = {
        line.split('"')[-2]
        for file in folder.glob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if "library(" in line and '"' in line
    }
    assert named
    assert named <= extras
