"""The client is light: what each way in loads, and what it must not."""

from __future__ import annotations

import subprocess
import sys

import bsadvise
import pytest

HEAVY = ("torch", "optuna", "advisor", "sqlalchemy", "numpy")


def loaded_by(code: str, *arguments: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has after running some code."""
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*{m.split('.')[0] for m in sys.modules}, file=sys.stderr))\n"
        + code
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_the_messages_alone_load_no_grpc() -> None:
    loaded = loaded_by("import bsadvise, bsadvise.v1.advice_pb2")

    assert "google" in loaded
    assert "grpc" not in loaded
    assert not loaded & {*HEAVY, "click", "rich", "yaml"}


@pytest.mark.parametrize("arguments", [["--help"], ["recommend", "--help"], ["jobs", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    loaded = loaded_by("from bsadvise.cli.main import main; main()", *arguments)

    assert "click" in loaded
    assert not loaded & set(HEAVY)


def test_every_public_name_can_be_had() -> None:
    assert bsadvise.__all__ == sorted(bsadvise.__all__)
    assert set(bsadvise.__all__) == set(bsadvise._HOMES)
    assert all(getattr(bsadvise, name).__name__ == name for name in bsadvise.__all__)
    assert set(bsadvise.__all__) <= set(dir(bsadvise))


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="Clent"):
        _ = bsadvise.Clent
