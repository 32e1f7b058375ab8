"""The planner's version changes with what decides an answer, and with nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import grimp
import pytest

import advisor
from advisor.application.versions import DECIDING_SOURCES, digest_of_sources, read_versions

ADVISOR = Path(advisor.__file__).parent

CARRIERS = (
    # What carries values between processes, checks them or prints them.
    "advisor.domain.validation",
    "advisor.messages",
    "advisor.pipe",
    "advisor.serialization",
    "bsadvise.printable",
    "bsadvise.v1",
    "bsadvise.wire",
)


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Path, ...]:
    """Copies of the sources that decide, side by side."""
    targets = []
    for source in DECIDING_SOURCES:
        target = tmp_path / "sources" / source.parent.name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, target)
        targets.append(target)
    return tuple(targets)


def test_a_copy_has_the_same_digest(copies: tuple[Path, ...]) -> None:
    assert digest_of_sources(copies) == digest_of_sources(DECIDING_SOURCES)
    assert digest_of_sources(reversed(copies)) == digest_of_sources(DECIDING_SOURCES)


@pytest.mark.parametrize("place", range(len(DECIDING_SOURCES)))
def test_an_edit_of_what_decides_is_another_digest(copies: tuple[Path, ...], place: int) -> None:
    edited = copies[place]
    module = edited if edited.is_file() else max(edited.rglob("*.py"))
    module.write_text(module.read_text() + "X = 1\n")
    assert digest_of_sources(copies) != digest_of_sources(DECIDING_SOURCES)


def test_a_module_of_another_name_is_another_digest(copies: tuple[Path, ...]) -> None:
    planning = next(copy for copy in copies if copy.name == "planning")
    (planning / "planner.py").rename(planning / "renamed.py")
    assert digest_of_sources(copies) != digest_of_sources(DECIDING_SOURCES)


def test_what_is_no_module_does_not_count(copies: tuple[Path, ...]) -> None:
    (next(copy for copy in copies if copy.is_dir()) / "note.txt").write_text("-")
    assert digest_of_sources(copies) == digest_of_sources(DECIDING_SOURCES)


@pytest.mark.parametrize("room", ["application", "service", "store", "pools", "devices", "config"])
def test_the_rest_of_the_daemon_does_not_count(room: str) -> None:
    for source in DECIDING_SOURCES:
        assert not source.is_relative_to(ADVISOR / room)


def test_all_that_decides_is_digested() -> None:
    graph = grimp.build_graph("advisor", "bsadvise")
    digested = {
        module
        for module in graph.modules
        if any(_path_of(module).is_relative_to(source) for source in DECIDING_SOURCES)
    }
    assert "advisor.planning.planner" in digested
    imported = {
        found for module in digested for found in graph.find_upstream_modules(module)
    } - digested
    assert [module for module in sorted(imported) if not module.startswith(CARRIERS)] == []


def _path_of(module: str) -> Path:
    package, *names = module.split(".")
    root = ADVISOR if package == "advisor" else ADVISOR.parent / "client" / "bsadvise"
    path = root.joinpath(*names)
    return path if path.is_dir() else path.with_suffix(".py")


def test_another_tuning_is_another_version() -> None:
    assert read_versions("a tuning") == read_versions("a tuning")
    assert read_versions("a tuning").planner != read_versions("another").planner
