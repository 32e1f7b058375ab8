"""Ctrl-C and SIGTERM on the real command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fake_server import FakeDaemon, Hold, a_script
from tests.support.wire_samples import measured, step_run_measurement, wire_advice


@contextmanager
def recommending(daemon: FakeDaemon, model_file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the command until its script holds, and yield it."""
    held = threading.Event()
    daemon.on_hold = held.set
    with subprocess.Popen(
        [sys.executable, "-m", "bsadvise", "recommend", str(model_file), "--output", "json"],
        env={**os.environ, "BSADVISE_ADDRESS": daemon.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert held.wait(timeout=60)
        yield command
        assert command.poll() is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_prints_the_best_so_far(
    daemon: FakeDaemon, model_file: Path, number: signal.Signals
) -> None:
    best = wire_advice(verified=False)
    daemon.script = a_script(measured(step_run_measurement(), best=best), Hold())
    with recommending(daemon, model_file) as command:
        command.send_signal(number)
        stdout, stderr = command.communicate(timeout=60)

    assert command.returncode == 0
    assert json.loads(stdout)["verified"] is False
    assert "best answer so far" in stderr
    assert "Traceback" not in stderr
    assert daemon.recommendation("job-1").cancel_requested


def test_with_nothing_to_say_it_ends_with_6(daemon: FakeDaemon, model_file: Path) -> None:
    daemon.script = a_script(measured(step_run_measurement()), Hold())
    with recommending(daemon, model_file) as command:
        command.send_signal(signal.SIGINT)
        stdout, stderr = command.communicate(timeout=60)

    assert command.returncode == 6
    assert stdout == ""
    assert "cancelled before there was any answer" in stderr


def test_the_second_signal_leaves_at_once(daemon: FakeDaemon, model_file: Path) -> None:
    daemon.script = a_script(Hold())
    daemon.cancelling_takes_effect = False
    with recommending(daemon, model_file) as command:
        assert command.stderr is not None
        command.send_signal(signal.SIGINT)
        lines = iter(command.stderr.readline, "")
        assert any("Again to leave" in line for line in lines)
        command.send_signal(signal.SIGINT)
        stdout, stderr = command.communicate(timeout=60)

    assert command.returncode == 6
    assert stdout == ""
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
