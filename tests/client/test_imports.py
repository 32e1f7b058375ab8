"""The client is light: what each way in loads, and what it must not."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator

import bsadvise
import pytest
from bsadvise.model import measurements

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
    assert set(bsadvise.__all__) == {*bsadvise._HOMES, "__version__"}
    assert all(getattr(bsadvise, name).__name__ == name for name in bsadvise._HOMES)
    assert set(bsadvise.__all__) <= set(dir(bsadvise))


def _classes_in(hint: object) -> Iterator[type]:
    if isinstance(hint, type):
        yield hint
    inner = hint if isinstance(hint, list) else typing.get_args(hint)
    for part in inner:
        yield from _classes_in(part)


def _hints_of(cls: type) -> Iterator[object]:
    """Yield the hints of a class's fields and of its public methods and properties."""
    # Names that a module imports for hints alone, since the other one imports it.
    names = {"Fault": measurements.Fault, "Refusal": bsadvise.Refusal}
    yield from typing.get_type_hints(cls, localns=names).values()
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else inspect.unwrap(member)
        function = getattr(function, "__func__", function)
        if inspect.isfunction(function) and (not name.startswith("_") or name == "__init__"):
            yield from typing.get_type_hints(function, localns=names).values()


def _errors() -> Iterator[type]:
    waiting: list[type] = [bsadvise.BsadviseError]
    for error in waiting:
        yield error
        waiting += error.__subclasses__()


def test_all_that_a_call_takes_returns_holds_or_raises_is_public() -> None:
    waiting: list[type] = [bsadvise.Client, bsadvise.AsyncClient, *_errors()]
    found: set[type] = set()
    while waiting:
        cls = waiting.pop()
        if cls not in found and cls.__module__.startswith("bsadvise."):
            found.add(cls)
            waiting += (one for hint in _hints_of(cls) for one in _classes_in(hint))
    public = {getattr(bsadvise, name) for name in bsadvise._HOMES}
    # The error has the name already; the package's docstring says where the outcome is.
    assert found - public == {measurements.TimedOut}
    assert public <= found


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="Clent"):
        _ = bsadvise.Clent
