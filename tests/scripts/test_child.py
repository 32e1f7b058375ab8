"""What is run in a child leaves this process as it was, however the child ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import NoReturn

import pytest

from advisor.worker.scripts.child import ChildLost, call_in_child

LIMIT_S = 60.0


def test_a_child_answers_and_changes_nothing_here() -> None:
    def change() -> bytes:
        os.environ["CHANGED"] = "1"
        return f"{os.getppid()} {threading.current_thread() is threading.main_thread()}".encode()

    assert call_in_child(change, LIMIT_S) == f"{os.getpid()} True".encode()
    assert "CHANGED" not in os.environ


def test_an_answer_may_be_larger_than_a_pipe() -> None:
    assert len(call_in_child(lambda: bytes(1 << 20), LIMIT_S)) == 1 << 20


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError


def _raise() -> NoReturn:
    raise LookupError


def _leave_another_behind() -> NoReturn:
    # It holds the pipe open, whose end says nothing then.
    subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    os._exit(5)


@pytest.mark.parametrize(
    ("function", "exit_code"),
    [(_die, -signal.SIGTERM), (_raise, 1), (_leave_another_behind, 5)],
)
def test_a_child_that_does_not_answer_is_lost(function: type[NoReturn], exit_code: int) -> None:
    with pytest.raises(ChildLost) as caught:
        call_in_child(function, LIMIT_S)
    assert caught.value.exit_code == exit_code


def test_a_child_is_killed_when_the_time_is_over() -> None:
    with pytest.raises(ChildLost) as caught:
        call_in_child(lambda: bytes(threading.Event().wait()), 0.01)
    assert caught.value.exit_code is None
