"""Every code of a caveat is documented, and every caveat that the daemon gives has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from bsadvise.model.caveats import CaveatCode

REPOSITORY = Path(__file__).parents[2]


def codes_given() -> list[str]:
    """Return the name of the code of each caveat that the daemon's source makes."""
    found = []
    for path in (REPOSITORY / "advisor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Caveat":
                code = next(k.value for k in node.keywords if k.arg == "code")
                assert isinstance(code, ast.Attribute), f"{path}:{node.lineno}"
                found.append(code.attr)
    return found


def test_the_table_lists_just_the_codes_there_are() -> None:
    table = (REPOSITORY / "docs" / "caveats.md").read_text()

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [code.value for code in CaveatCode]


def test_each_code_is_given_somewhere() -> None:
    assert set(codes_given()) == {code.name for code in CaveatCode} - {"UNSPECIFIED"}


def test_codes_are_snake_case_and_names_upper_case_of_them() -> None:
    for code in CaveatCode:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code.value)
        assert code.name == code.value.upper()
