"""Ctrl-C and SIGTERM on the real command."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from bsadvise.cli.interrupts import Interrupts

from tests.support.fake_server import FakeDaemon, Hold, a_script
from tests.support.wire_samples import measured, step_run_measurement, wire_advice

SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"


@contextmanager
def recommending(
    daemon: FakeDaemon,
    model_file: Path,
    *,
    stderr: int | None = None,
    starter: Sequence[str] = (),
) -> Iterator[subprocess.Popen[str]]:
    """Run the command until its script holds, and yield it."""
    held = threading.Event()
    daemon.on_hold = held.set
    with subprocess.Popen(
        [*starter, sys.executable, "-m", "bsadvise", "recommend", model_file, "--output", "json"],
        env={**os.environ, "BSADVISE_ADDRESS": daemon.address, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if stderr is None else stderr,
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


@contextmanager
def a_full_pipe() -> Iterator[int]:
    """Yield an end that takes no byte more: whoever holds the other does not read."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    while select.select([], [write_end], [], 0)[1]:
        os.write(write_end, bytes(4096))
    os.set_blocking(write_end, True)
    yield write_end
    os.close(write_end)
    os.close(read_end)


def test_a_third_signal_ends_it_though_nobody_reads_its_stderr(
    daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.script = a_script(Hold())
    daemon.cancelling_takes_effect = False
    with a_full_pipe() as full, recommending(daemon, model_file, stderr=full) as command:
        while command.poll() is None:
            # Equal signals that wait are one; those after the third find nobody.
            command.send_signal(signal.SIGINT)
    assert command.returncode == 6


def test_a_first_signal_stops_it_though_nobody_reads_its_stderr(
    daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.script = a_script(Hold())
    with a_full_pipe() as full, recommending(daemon, model_file, stderr=full) as command:
        command.send_signal(signal.SIGINT)
        while not daemon.recommendation("job-1").cancel_requested:
            assert command.poll() is None
        command.kill()
        command.wait(timeout=60)


def test_a_signal_that_is_ignored_stays_so(daemon: FakeDaemon, model_file: Path) -> None:
    daemon.script = a_script(Hold())
    ignoring = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    with recommending(daemon, model_file, starter=ignoring) as command:
        command.send_signal(signal.SIGINT)
        daemon.release()
        stdout, _ = command.communicate(timeout=60)
    assert command.returncode == 0
    assert json.loads(stdout)["micro_batch_size"] == 32


def test_the_cursor_is_there_while_the_panel_is_drawn_and_after(
    daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.script = a_script(Hold())
    daemon.cancelling_takes_effect = False
    ours, theirs = pty.openpty()
    seen = b""
    with recommending(daemon, model_file, stderr=theirs) as command:
        os.close(theirs)
        while SHOW_CURSOR not in seen:
            seen += os.read(ours, 4096)
        # At once, and not when it ends: nobody could show it after a SIGKILL.
        assert seen.rindex(SHOW_CURSOR) > seen.rindex(HIDE_CURSOR)
        command.send_signal(signal.SIGINT)
        while b"Again to leave" not in seen:
            seen += os.read(ours, 4096)
        command.send_signal(signal.SIGINT)
        try:
            while data := os.read(ours, 4096):
                seen += data
        except OSError:  # how a terminal ends
            pass
        assert command.wait(timeout=60) == 6
    os.close(ours)
    assert seen.rindex(SHOW_CURSOR) > seen.rindex(HIDE_CURSOR)


def test_a_signal_is_heard_though_the_main_thread_is_held_up() -> None:
    """Have it come to another thread: then no call of the main thread's ends for it."""
    read_end, write_end = os.pipe()
    main = Path(f"/proc/self/task/{threading.get_native_id()}/stat")

    def send() -> None:
        while ") S " not in main.read_text(encoding="ascii"):  # It sleeps, in its read.
            os.sched_yield()
        os.kill(os.getpid(), signal.SIGINT)

    with Interrupts() as interrupts:
        interrupts.stop_with(lambda: os.write(write_end, b"stop"))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            threading.Thread(target=send).start()
            assert os.read(read_end, 4) == b"stop"
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.close(read_end)
    os.close(write_end)
