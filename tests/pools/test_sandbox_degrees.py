"""What each degree holds is said once, and weak degrees are refused where strangers come in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from advisor.config.settings import Settings
from advisor.pools.sandbox import SandboxMissing, check_exposure
from advisor.pools.sandbox_degrees import describe, markdown
from advisor.preflight import describe_start
from advisor.wiring import sandbox_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_the_document_has_the_table() -> None:
    assert markdown() in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("sandbox", ["off", "landlock"])
def test_a_weak_degree_is_refused_beyond_loopback(sandbox: str) -> None:
    with pytest.raises(SandboxMissing, match="--accept-weak-sandbox"):
        check_exposure(sandbox, is_exposed=True, accepts_weak=False)
    check_exposure(sandbox, is_exposed=True, accepts_weak=True)
    check_exposure(sandbox, is_exposed=False, accepts_weak=False)


@pytest.mark.parametrize("sandbox", ["bwrap", "namespaces"])
def test_a_strong_degree_may_listen_anywhere(sandbox: str) -> None:
    check_exposure(sandbox, is_exposed=True, accepts_weak=False)


def test_the_address_decides_who_comes_in(tmp_path: Path) -> None:
    settings = Settings(
        state_dir=tmp_path, socket=tmp_path / "socket", sandbox="off", listen="0.0.0.0:1"
    )
    with pytest.raises(SandboxMissing):
        sandbox_of(settings)
    for listen in ("127.0.0.1:1", "[::1]:1", "localhost:1", None):
        assert sandbox_of(replace(settings, listen=listen)) == "off"
    assert sandbox_of(replace(settings, accept_weak_sandbox=True)) == "off"


def test_a_check_says_what_the_degree_holds(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", socket=tmp_path / "socket", sandbox="off")
    said = describe_start(settings)
    assert all(f"sandbox holds {line}" in said for line in describe("off"))
