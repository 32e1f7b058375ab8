"""The same words reach the author by every way, and a file that works is answered, and how."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from bsadvise import Client, ModelFileError

from advisor.pools.sandbox import choose_sandbox
from tests.support.daemon_process import EXIT_LIMIT_S, start_daemon, wait_until_ready
from tests.support.zoo import MODELS


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Return the address and the process id of a daemon."""
    with start_daemon(tmp_path_factory.mktemp("daemon"), "--log-level", "error") as process:
        yield wait_until_ready(process), process.pid


@pytest.mark.parametrize("name", ["raises_in_build_model", "wrong_types", "exits", "import_error"])
def test_the_words_are_the_same_by_every_way(daemon: tuple[str, int], name: str) -> None:
    address, _ = daemon
    model = MODELS / f"{name}.py"
    with Client(address) as client:
        with pytest.raises(ModelFileError) as by_recommendation:
            client.recommend(model, device="cpu", budget_s=60.0, use_cache=False)
        with pytest.raises(ModelFileError) as by_estimate:
            client.estimate_memory(model, device="cpu")
    assert str(by_recommendation.value) == str(by_estimate.value)
    recommended, estimated = by_recommendation.value.fault, by_estimate.value.fault
    assert recommended is not None
    assert recommended == estimated
    command = [sys.executable, "-m", "bsadvise", "recommend", str(model), "--device", "cpu"]
    printed = subprocess.run(
        [*command, "--address", address, "--no-cache", "--quiet"],
        capture_output=True, text=True, check=False, timeout=EXIT_LIMIT_S,
    )  # fmt: skip
    assert printed.returncode == 3
    assert _words(str(by_recommendation.value)) in _words(printed.stderr)


def test_a_file_that_leaves_children_is_answered_and_they_are_gone(
    daemon: tuple[str, int],
) -> None:
    address, pid = daemon
    with Client(address) as client:
        advice = client.recommend(
            MODELS / "leaves_children.py", device="cpu", budget_s=20.0, max_trials=0,
            memory_limit_bytes=1 << 20,
        )  # fmt: skip
    assert advice.sandbox == choose_sandbox("auto")
    names = [process.name() for process in psutil.Process(pid).children(recursive=True)]
    assert "sleep" not in names


def _words(text: str) -> str:
    """Return a text without what a terminal's width does to it."""
    return "".join(text.split())
